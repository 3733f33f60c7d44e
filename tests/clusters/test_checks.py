"""How long requests wait for answers of workers."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from clusters.models import Check
from clusters.services.checks import MOST_WAITING, check_wait, moment
from fleetportal.accounts.models import User
from tests.support import People

pytestmark = pytest.mark.django_db


def question(user: User) -> Check:
    return Check.objects.create(kind="nobody.answers", requested_by=user)


def test_one_person_holds_only_a_few_threads_and_nobody_elses(people: People) -> None:
    mine, theirs = question(people.engineer), question(people.approver)
    with ExitStack() as waiting:
        for _ in range(MOST_WAITING):
            assert waiting.enter_context(moment(mine, 3.0)) == 3.0
        begun = time.monotonic()
        assert check_wait(mine, seconds=30.0).state == "pending"
        assert time.monotonic() - begun < 10
        assert waiting.enter_context(moment(theirs, 3.0)) == 3.0
    with moment(mine, 3.0) as allowed:
        assert allowed == 3.0
