"""The main path by REST with tokens, checked on the clusters by asking the simulator."""

from __future__ import annotations

from django.utils import timezone

from rollouts.models import Approval
from tests.fleet.harness import (
    Portal,
    claims_on,
    left_of,
    mutations,
    ours,
    serving,
    until,
)
from tests.fleet.rest import Person
from workspaces.models import Revision


def test_a_model_is_planned_approved_deployed_and_asked_by_rest(portal: Portal) -> None:
    test, staging, production = portal.three()
    engineer, approver = Person(portal.people.engineer), Person(portal.people.approver)

    rows = engineer.get("models/phi-4-mini-instruct/fit/")["results"]
    assert {row["cluster"] for row in rows if row["fits"]} == set(portal.clusters)
    plan = engineer.plan([test, staging, production])
    assert {v["cluster"] for v in plan["verdicts"] if v["verdict"] == "selected"} == set(
        portal.clusters
    )
    assert all(mutations(cluster) == [] for cluster in (test, staging, production))

    stale = {"plan": plan["id"], "digest": "0" * 64}
    assert engineer.post("deployments/", stale, status=409)["type"].endswith("stale-digest")
    started = engineer.post(
        "deployments/", {"plan": plan["id"], "digest": plan["digest"]}, status=201
    )
    again = engineer.post(
        "deployments/", {"plan": plan["id"], "digest": plan["digest"]}, status=409
    )
    assert again["type"].endswith("plan-not-ready")

    approval = approver.approval(started["rollout"])
    waiting = engineer.reach(started["rollout"], "waiting")
    assert waiting["waiting_for"]["kind"] == "approval"
    assert [stage["state"] for stage in waiting["stages"]] == ["passed", "passed", "waiting"]
    assert mutations(production) == [] and ours(production) == []
    assert engineer.vote(approval, status=403)["type"].endswith("forbidden")
    assert approver.vote(approval, digest="f" * 64, status=409)["type"].endswith("stale-digest")
    assert approver.vote(approval)["votes"][0]["voter"] == "approver"

    done = engineer.reach(started["rollout"], "succeeded")
    assert done["waiting_for"] is None
    assert approver.vote(approval, status=409)["type"].endswith(
        ("already-decided", "approval-closed")
    )
    for cluster in (test, staging, production):
        assert serving(cluster) == ours(cluster, "InferenceSet")[0].removeprefix("InferenceSet/")
        said = engineer.post(
            f"deployments/{started['id']}/prompt/",
            {"prompt": "What is KAITO?", "cluster": cluster.name},
            status=201,
        )
        assert said["state"] == "done" and said["answer"]
    for entry in mutations(test) + mutations(staging) + mutations(production):
        assert entry["method"] == "PATCH" and entry["manager"] == "fleetportal"
        assert entry["marks"]["fleetportal.io/digest"] == done["digest"]


def test_a_rejected_rollout_leaves_production_alone_and_quarantines_the_revision(
    portal: Portal,
) -> None:
    test, staging, production = portal.three()
    engineer, approver = Person(portal.people.engineer), Person(portal.people.approver)
    started = engineer.deploy([test, staging, production])
    approval = approver.approval(started["rollout"])
    approver.vote(approval, "reject", comment="", status=422)
    approver.vote(approval, "reject", comment="Too slow in staging.")

    done = engineer.reach(started["rollout"], "rejected")
    assert [stage["state"] for stage in done["stages"]] == ["passed", "passed", "aborted"]
    assert mutations(production) == []
    assert serving(test) and serving(staging), "what serves stays"
    revision = Revision.objects.get(deployment=started["id"])
    assert "Too slow" in revision.quarantined_reason or "approver" in revision.quarantined_reason
    assert approver.vote(approval, status=409)["type"].endswith("approval-closed")
    assert not claims_on(production), "what was promised there is free again"


def test_an_aborted_rollout_takes_away_what_does_not_serve_and_asks_nobody_any_more(
    portal: Portal,
) -> None:
    test, staging, production = portal.three()
    staging.change(faults=[{"kind": "stuck"}])
    engineer, approver = Person(portal.people.engineer), Person(portal.people.approver)
    started = engineer.deploy([test, staging, production])
    until("staging holds our object", lambda: ours(staging, "InferenceSet"))
    engineer.post(f"rollouts/{started['rollout']}/abort/", {"reason": "A wrong model."})

    done = engineer.reach(started["rollout"], "aborted")
    states = {t["cluster"]: t["state"] for stage in done["stages"] for t in stage["targets"]}
    assert states[test.name] == "succeeded" and states[staging.name] == "rolled_back"
    assert states[production.name] == "skipped" and mutations(production) == []
    until("staging is empty", lambda: not left_of(staging))
    assert serving(test)
    assert approver.get(f"approvals/?rollout={started['rollout']}&state=waiting")["count"] == 0
    refused = engineer.post(f"rollouts/{started['rollout']}/pause/", status=409)
    assert refused["type"].endswith("rollout-ended")


def test_an_approval_that_expired_takes_no_vote_and_a_second_one_can_be_asked_for(
    portal: Portal,
) -> None:
    production = portal.add("production")
    engineer, approver = Person(portal.people.engineer), Person(portal.people.approver)
    started = engineer.deploy([production])
    approval = approver.approval(started["rollout"])
    path = f"approvals/{approval['id']}/"
    Approval.objects.filter(pk=approval["id"]).update(expires_at=timezone.now())
    until("it expires", lambda: approver.get(path)["state"] == "expired")
    late = approver.vote(approval, status=409)
    assert late["type"].endswith(("approval-expired", "approval-closed"))
    assert mutations(production) == []

    path = f"rollouts/{started['rollout']}/"
    until("it says so", lambda: engineer.get(path)["waiting_for"]["kind"] == "approval_expired")
    engineer.post(f"{path}retry/")
    second = approver.approval(started["rollout"])
    assert second["id"] != approval["id"]
    approver.vote(second)
    engineer.reach(started["rollout"], "succeeded")
