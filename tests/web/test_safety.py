from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from fleetportal.env import BadEnvironment
from fleetportal.web.safety import check_deploy, ready_to_serve, unsafe_settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_suite_itself_has_safe_settings() -> None:
    assert list(unsafe_settings()) == []
    ready_to_serve()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SECRET_KEY", "not-a-secret-only-for-checks-and-tests", "SECRET_KEY is not set"),
        ("SECRET_KEY", "short", "shorter"),
        ("FLEETPORTAL_KEYS", "", "FLEETPORTAL_KEYS"),
        ("FLEETPORTAL_KEYS", "k1:zzzz", "FLEETPORTAL_KEYS"),
        ("CELERY_BROKER_URL", "redis://redis:6379/0", "REDIS_URL"),
        ("ALLOWED_HOSTS", ["*"], "ALLOWED_HOSTS"),
    ],
)
def test_what_is_unsafe_stops_the_process_and_says_the_remedy(
    settings: Settings, name: str, value: object, words: str
) -> None:
    setattr(settings, name, value)
    settings.TESTING = False
    with pytest.raises(BadEnvironment, match=words):
        ready_to_serve()
    assert [error.id for error in check_deploy()] == ["web.E001"]


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:6379/0", "redis://:word@redis:6379/0"])
def test_a_broker_on_this_machine_or_with_a_password_is_fine(settings: Settings, url: str) -> None:
    settings.CELERY_BROKER_URL = url
    assert list(unsafe_settings()) == []


def manage(*words: str) -> subprocess.CompletedProcess[str]:
    """manage.py in an environment without any of the portal's variables."""
    environment = {
        key: os.environ[key] for key in ("PATH", "HOME", "DATA_DIR") if key in os.environ
    }
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_without_secrets_checks_run_and_serving_is_refused() -> None:
    assert manage("check").returncode == 0
    refused = manage("web", "--port", "1")
    assert refused.returncode != 0
    assert "generate_keys" in refused.stderr


def test_without_secrets_the_asgi_application_does_not_load() -> None:
    code = "import fleetportal.asgi"
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": os.environ["DATA_DIR"]}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stderr
