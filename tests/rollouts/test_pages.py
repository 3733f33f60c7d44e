from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from rollouts.models import Rollout
from tests.factories import make_rollout, make_waiting
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleet(people: People) -> None:
    make_fleet()


def signed_in(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def text(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def page_of(rollout: Rollout) -> str:
    return reverse("rollout", args=[rollout.pk])


@pytest.mark.usefixtures("fleet")
def test_a_fresh_rollout_says_which_stage_comes_after_which(people: People) -> None:
    rollout = make_rollout(people.engineer, people.assist)
    shown = text(signed_in(people.engineer), page_of(rollout))
    for words in ("After test", "After staging", "Rollout of r1", "Pause…", "Abort…"):
        assert words in shown


@pytest.mark.usefixtures("fleet")
def test_every_page_of_a_waiting_approval_renders(people: People) -> None:
    approval = make_waiting(people.engineer, people.assist)
    client = signed_in(people.approver)
    for url in ("/rollouts/", "/approvals/", page_of(approval.rollout)):
        assert "Review and decide" in text(client, url)
    assert "Approve production…" in text(client, reverse("approval", args=[approval.pk]))
