"""One world for each module, in a transaction that is rolled back after it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.db import transaction
from pytest_django.plugin import DjangoDbBlocker

from tests.security.world import StillClock, World, make_world


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Built once: each test is undone on top of it. Nobody waits for a worker."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        for module in ("clusters.services.checks", "workspaces.services.plans"):
            patch.setattr(f"{module}.time", StillClock())
        # A refusal is what is asked for here: thousands of warnings would cost more than the tests.
        patch.setattr(logging.getLogger("django.request"), "disabled", True)
        with transaction.atomic():
            yield make_world()
            transaction.set_rollback(True)
