"""The environment of the suite, set before Django reads its settings, and the fixtures all share.

DATABASE_URL decides the database: a throwaway SQLite file by default, PostgreSQL when
scripts/with_postgres.py runs the suite. No broker: a ring is then refused at once.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# Speed is measured by `make bench`; on a busy machine a slow draw says nothing about the product.
hypothesis_settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
hypothesis_settings.load_profile("suite")

if "FLEETPORTAL_TEST_DIR" not in os.environ:  # workers of pytest-xdist share their parent's
    os.environ["FLEETPORTAL_TEST_DIR"] = tempfile.mkdtemp(prefix="fleetportal-test-")
    atexit.register(shutil.rmtree, os.environ["FLEETPORTAL_TEST_DIR"], ignore_errors=True)
TEST_DIR = Path(os.environ["FLEETPORTAL_TEST_DIR"])
(TEST_DIR / "static").mkdir(exist_ok=True)  # whitenoise warns where there is none

os.environ |= {
    "DJANGO_SETTINGS_MODULE": "fleetportal.settings",
    "FLEETPORTAL_TESTING": "1",
    "FLEETPORTAL_DEMO": "0",
    "FLEETPORTAL_KEYS": "test:" + "dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=",
    "SECRET_KEY": "only-for-tests-" + "x" * 40,
    "REDIS_URL": "",
    "DATA_DIR": str(TEST_DIR),
    "LOG_LEVEL": "WARNING",
}
os.environ.setdefault("DATABASE_URL", f"sqlite:///{TEST_DIR / 'portal.sqlite3'}")

import django  # noqa: E402
from django.conf import settings  # noqa: E402

# Scrypt is slow on purpose; the suite logs in a few thousand times.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: threads of a test then contend for it as processes do.
    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(TEST_DIR / "test.sqlite3")
django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from fleetportal.accounts.principal import Principal  # noqa: E402
from fleetportal.accounts.tokens import token_create  # noqa: E402
from tests.support import People, make_people  # noqa: E402

if TYPE_CHECKING:
    from fleetportal.accounts.models import User

ApiFor = Callable[..., APIClient]
CountQueries = Callable[[], AbstractContextManager[CaptureQueriesContext]]


@pytest.fixture
def people(db: None) -> People:
    """Teams assist and risk; engineer, approver, viewer, outsider, operator, admin, auditor."""
    return make_people()


@pytest.fixture
def principal() -> Callable[[User], Principal]:
    """`principal(user)`: the user as a session would bring them."""
    return Principal


@pytest.fixture
def client_for() -> Callable[[User], Client]:
    """`client_for(user)`: a browser that is signed in."""

    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def api() -> ApiFor:
    """`api(user, scopes=None)`: a REST client with a bearer token of the user."""

    def bearer(user: User, scopes: list[str] | None = None) -> APIClient:
        _, text = token_create(user=user, name="test", scopes=scopes)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
        return client

    return bearer


@pytest.fixture
def count_queries() -> CountQueries:
    """`with count_queries() as queries:` ... `len(queries)`."""
    return lambda: CaptureQueriesContext(connection)
