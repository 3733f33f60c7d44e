from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from fleetportal.accounts.models import Team, User
from fleetportal.accounts.principal import Principal
from fleetportal.kit.crypto import Keyring
from tests.support import People, make_user

GOOD = "correct horse battery staple"


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def environment(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_generated_keys_are_fresh_and_fit_the_settings() -> None:
    first, second = environment(run("generate_keys")), environment(run("generate_keys"))
    assert set(first) == {"SECRET_KEY", "FLEETPORTAL_KEYS"}
    assert first["SECRET_KEY"] != second["SECRET_KEY"]
    assert len(first["SECRET_KEY"]) >= 50
    Keyring.parse(first["FLEETPORTAL_KEYS"])


def test_a_rotation_keeps_the_old_key_behind_the_new_one() -> None:
    old = "k1:dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="
    ring = Keyring.parse(environment(run("generate_keys", "--rotate", old))["FLEETPORTAL_KEYS"])
    assert ring.primary != "k1"
    assert "k1" in ring.keys


@pytest.mark.django_db
def test_the_first_admin_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(f"{GOOD}\n")
    monkeypatch.setenv("ADMIN_USERNAME", "root-of-all")
    monkeypatch.setenv("ADMIN_PASSWORD_FILE", str(tmp_path / "password"))
    assert "created the admin" in run("create_admin")
    admin = authenticate(username="root-of-all", password=GOOD)
    assert isinstance(admin, User)
    assert Principal(admin).may("team.manage")
    assert "nothing was changed" in run("create_admin")


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["short", "password1234", "root-of-all"])
def test_a_weak_password_is_refused(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("ADMIN_USERNAME", "root-of-all")
    monkeypatch.setenv("ADMIN_PASSWORD", password)
    with pytest.raises(CommandError, match="password"):
        run("create_admin")
    assert not User.objects.exists()


@pytest.mark.django_db
def test_without_a_terminal_and_without_variables_the_command_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ADMIN_USERNAME", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match="ADMIN_USERNAME"):
        run("create_admin")


@pytest.mark.django_db
def test_a_team_and_its_people_are_made_by_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_PASSWORD", GOOD)
    run("create_team", "assist", "Assist")
    run("create_user", "jo")
    run("grant_role", "jo", "engineer", "--team", "assist")
    jo, assist = User.objects.get(username="jo"), Team.objects.get(slug="assist")
    assert Principal(jo).may("plan.create", assist.pk)
    run("grant_role", "jo", "operator")
    assert Principal(User.objects.get(username="jo")).may("cluster.register")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("create_team", "Assist", "x"), "DNS label"),
        (("create_team", "a" * 31, "x"), "DNS label"),
        (("create_team", "a-", "x"), "DNS label"),
        (("create_team", "assist", "x"), "already"),
        (("grant_role", "nobody", "engineer", "--team", "assist"), "no user"),
        (("grant_role", "engineer", "engineer", "--team", "nowhere"), "no team"),
        (
            ("grant_role", "engineer", "operator", "--team", "assist"),
            "Use viewer, engineer, approver",
        ),
        (("grant_role", "engineer", "engineer"), "Use operator, admin, auditor"),
        (("create_user", "engineer"), "taken"),
        (("create_user", "two words"), "user"),
    ],
)
def test_commands_say_what_is_wrong(
    people: People, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("USER_PASSWORD", GOOD)
    with pytest.raises(CommandError, match=message):
        run(*words)


@pytest.mark.django_db
def test_no_account_exists_by_default() -> None:
    assert not User.objects.exists()
    assert make_user("one").pk
