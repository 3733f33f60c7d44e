"""What rollouts tell the pages of deployments, through the seam between the two apps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from rollouts.models import Rollout
from rollouts.services.start import rollout_start
from rollouts.services.strategies import strategies_sync
from tests.support import People
from tests.workspaces.conftest import MakePlan
from workspaces.selectors import deployments
from workspaces.selectors.motion import motions, needing_a_person
from workspaces.selectors.strategies import offered

ClientFor = Callable[[User], Client]


@pytest.fixture
def rollout(people: People, make_plan: MakePlan) -> Rollout:
    strategies_sync()
    plan = make_plan()
    return rollout_start(principal=Principal(people.engineer), plan=plan, digest=plan.digest)


def set_to(rollout: Rollout, state: str, **waiting: str) -> None:
    Rollout.objects.filter(pk=rollout.pk).update(state=state, waiting_for=waiting)


def test_the_strategies_of_rollouts_are_offered_staged_first(db: None) -> None:
    assert offered()[0] == ("staged", "staged")
    strategies_sync()
    assert offered() == [("staged", "staged"), ("all-at-once", "all-at-once")]


def test_a_rollout_that_waits_for_approval_puts_its_deployment_first(
    people: People, rollout: Rollout, client_for: ClientFor
) -> None:
    set_to(rollout, "waiting", kind="approval", text="Production waits for an approver.")
    (motion,) = motions([rollout.deployment_id]).values()
    assert (motion.label, motion.tone, motion.attention) == ("Waiting: approval", "wait", True)
    assert list(needing_a_person()) == [rollout.deployment_id]
    html = client_for(people.engineer).get("/deployments/").content.decode()
    assert "Needs attention" in html
    assert "Waiting: approval" in html
    assert "Production waits for an approver." in html


@pytest.mark.parametrize(
    ("state", "kind", "calm", "word"),
    [
        ("running", "work", 1, "Running"),
        ("waiting", "soak", 1, "Waiting: soak"),
        ("waiting", "approval", 0, "Waiting: approval"),
        ("failed", "decision", 0, "Failed"),
        ("paused", "paused", 1, "Paused"),
        ("succeeded", "nothing", 1, "Starting"),
        ("rollback_blocked", "nothing", 0, "Rollback blocked"),
    ],
)
def test_the_order_of_the_list_and_the_word_agree(
    people: People, rollout: Rollout, state: str, kind: str, calm: int, word: str
) -> None:
    set_to(rollout, state, kind=kind, text="")
    rows = deployments.deployments_for(Principal(people.engineer))
    (row,) = deployments.rows_of(list(rows))
    assert (row.deployment.calm, row.fare.word) == (calm, word)  # type: ignore[attr-defined]
    assert row.fare.attention is (calm == 0)


def test_the_page_of_a_deployment_links_its_rollout(
    people: People, rollout: Rollout, client_for: ClientFor
) -> None:
    set_to(rollout, "waiting", kind="soak", text="Soaking.")
    html = (
        client_for(people.engineer).get(f"/deployments/{rollout.deployment_id}/").content.decode()
    )
    assert f"/rollouts/{rollout.pk}/" in html
    assert "Waiting: soak. Soaking." in html
