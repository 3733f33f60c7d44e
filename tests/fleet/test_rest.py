"""The main path by REST with tokens, checked on the clusters by asking the simulator."""

from __future__ import annotations

from tests.fleet.harness import Portal, mutations, ours, serving
from tests.fleet.rest import Person


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
