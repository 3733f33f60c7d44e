"""What must never happen is refused by the database itself, whoever writes and however."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from clusters.models import Cluster, Pool
from rollouts.models import Approval, Rollout, Stage, Target, Vote
from tests import factories
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Claim, Workspace

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]


@pytest.fixture
def approval(people: People) -> Approval:
    make_fleet()
    return factories.make_waiting(people.engineer, people.assist)


def refused(write: Callable[[], Any], constraint: str) -> None:
    """The write fails on that constraint; SQLite names columns instead of unique constraints."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        write()
    text = str(caught.value)
    assert constraint in text or "UNIQUE constraint failed" in text


def vote(approval: Approval, **fields: Any) -> Vote:
    values = {
        "approval": approval,
        "requester_id_copy": approval.requester_id,
        "approval_digest": approval.digest,
        "digest": approval.digest,
        "decision": "approve",
        "at": timezone.now(),
    }
    return Vote.objects.create(**(values | fields))


def copy(row: Any, **fields: Any) -> Any:
    """The same row once more under a new key."""
    values = {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields}
    del values[row._meta.pk.attname]
    return type(row).objects.create(**(values | fields))


def test_a_deployment_has_one_active_rollout(approval: Approval, people: People) -> None:
    rollout = approval.rollout
    plan = factories.make_plan(people.engineer, people.assist, name="second")
    refused(lambda: copy(rollout, plan_id=plan.pk), "rollout_active_once")
    Rollout.objects.filter(pk=rollout.pk).update(state="aborted")
    copy(rollout, plan_id=plan.pk)


def test_a_slot_is_held_once_and_lies_below_max_concurrency(approval: Approval) -> None:
    target = Target.objects.filter(rollout=approval.rollout).first()
    assert target is not None
    Target.objects.filter(pk=target.pk).update(slot=0)
    other = Cluster.objects.exclude(targets__rollout=approval.rollout).first()
    assert other is not None
    refused(lambda: copy(target, cluster_id=other.pk, slot=0), "target_slot_once")
    refused(lambda: copy(target, cluster_id=other.pk, slot=target.slots), "target_slot_below")
    refused(lambda: copy(target, slot=1), "target_cluster_once")


def test_a_person_votes_once_for_that_digest_and_never_on_their_own_request(
    approval: Approval, people: People
) -> None:
    vote(approval, voter=people.approver)
    refused(lambda: vote(approval, voter=people.approver, decision="reject"), "vote_once")
    refused(lambda: vote(approval, voter=people.engineer), "vote_not_by_requester")
    refused(lambda: vote(approval, voter=people.admin, digest="f" * 64), "vote_for_this_digest")
    refused(lambda: vote(approval, voter=people.admin, decision="maybe"), "vote_decision")


def test_a_gate_has_one_open_request(approval: Approval) -> None:
    later = timezone.now() + timedelta(days=1)
    refused(lambda: copy(approval, expires_at=later), "approval_open_once")
    Approval.objects.filter(pk=approval.pk).update(state="expired")
    copy(approval, expires_at=later)


def test_a_node_is_promised_once_and_below_the_pools_size(approval: Approval) -> None:
    claim = Claim.objects.filter(released_at=None).first()
    assert claim is not None
    refused(lambda: copy(claim), "claim_slot_once")
    refused(lambda: copy(claim, slot=claim.limit), "claim_slot_below_limit")
    Claim.objects.filter(pk=claim.pk).update(released_at=timezone.now())
    copy(claim)


def test_one_revision_answers_for_a_deployment_on_a_cluster(approval: Approval) -> None:
    workspace = Workspace.objects.filter(serving=True).first()
    assert workspace is not None
    refused(lambda: copy(workspace, name="another", attempt=2), "workspace_serving_once")
    refused(lambda: copy(workspace, serving=False, attempt=2), "workspace_name_once")
    copy(workspace, serving=False, attempt=2, name="another")


@pytest.mark.parametrize("model", [Rollout, Stage, Target, Approval, Workspace, Cluster])
def test_a_state_is_a_word_of_its_table(approval: Approval, model: type[Any]) -> None:
    row = model.objects.first()
    refused(lambda: model.objects.filter(pk=row.pk).update(state="fine"), "_state")


def test_a_cluster_is_registered_once(approval: Approval) -> None:
    first, second = Cluster.objects.exclude(uid="").order_by("name")[:2]
    refused(lambda: Cluster.objects.filter(pk=second.pk).update(uid=first.uid), "cluster_uid_once")
    Cluster.objects.filter(pk=first.pk).update(state="retired")
    Cluster.objects.filter(pk=second.pk).update(uid=first.uid)


def test_a_pool_of_a_cluster_has_one_row(approval: Approval) -> None:
    pool = Pool.objects.first()
    assert pool is not None
    refused(lambda: copy(pool), "pool_once")
