"""How objects end: delete answers, preconditions, finalizers, owners, namespaces."""

from typing import Any

from tests.fleetsim.bodies import APPLY, CONFIGMAPS, MERGE, WORKSPACES, config_map, workspace
from tests.simfleet import SimCluster

NAMESPACES = "/api/v1/namespaces"


def namespace(name: str) -> dict[str, Any]:
    """A Namespace body."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def owned_by(owner: dict[str, Any], name: str = "child") -> dict[str, Any]:
    """A ConfigMap that belongs to `owner`."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return config_map(name, metadata={"ownerReferences": [reference]})


def test_delete_of_a_custom_resource_answers_success_with_its_uid(cluster: SimCluster) -> None:
    _, obj, _ = cluster.request("POST", WORKSPACES, workspace())
    status, answer, _ = cluster.request("DELETE", f"{WORKSPACES}/p")
    assert (status, answer["status"]) == (200, "Success")
    assert answer["details"] == {
        "name": "p",
        "group": "kaito.sh",
        "kind": "workspaces",
        "uid": obj["metadata"]["uid"],
    }


def test_delete_of_a_node_answers_success(cluster: SimCluster) -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "status": {"capacity": {"cpu": "4"}},
    }
    _, made, _ = cluster.request("POST", "/api/v1/nodes", node)
    assert made["status"] == {"capacity": {"cpu": "4"}}
    _, answer, _ = cluster.request("DELETE", "/api/v1/nodes/n1")
    assert answer["details"] == {"name": "n1", "kind": "nodes", "uid": made["metadata"]["uid"]}


def test_delete_preconditions_hold_uid_and_version(cluster: SimCluster) -> None:
    _, obj, _ = cluster.request("POST", WORKSPACES, workspace())
    wrong = {"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}}
    status, answer, _ = cluster.request("DELETE", f"{WORKSPACES}/p", wrong)
    assert (status, answer["reason"]) == (409, "Conflict")
    assert "Precondition failed: UID in precondition" in answer["message"]
    assert (
        cluster.request("DELETE", f"{WORKSPACES}/p", {"preconditions": {"resourceVersion": "1"}})[0]
        == 409
    )
    right = {"preconditions": {"uid": obj["metadata"]["uid"]}}
    assert cluster.request("DELETE", f"{WORKSPACES}/p", right)[0] == 200


def test_a_finalizer_turns_delete_into_a_mark_until_it_is_removed(cluster: SimCluster) -> None:
    body = workspace()
    body["metadata"]["finalizers"] = ["workspace.finalizer.kaito.sh"]
    cluster.request("POST", WORKSPACES, body)
    _, answer, _ = cluster.request("DELETE", f"{WORKSPACES}/p")
    assert answer["kind"] == "Workspace"
    assert answer["metadata"]["deletionTimestamp"]
    assert answer["metadata"]["generation"] == 2
    patch = {"metadata": {"finalizers": None}}
    cluster.request("PATCH", f"{WORKSPACES}/p", patch, content_type=MERGE)
    assert cluster.request("GET", f"{WORKSPACES}/p")[0] == 404


def test_an_apply_onto_a_terminating_object_answers_200_and_is_lost(cluster: SimCluster) -> None:
    body = workspace()
    body["metadata"]["finalizers"] = ["workspace.finalizer.kaito.sh"]
    cluster.request("POST", WORKSPACES, body)
    cluster.request("DELETE", f"{WORKSPACES}/p")
    path = f"{WORKSPACES}/p?fieldManager=m"
    status, answer, _ = cluster.request("PATCH", path, workspace(), content_type=APPLY)
    assert status == 200
    assert answer["metadata"]["deletionTimestamp"]


def test_no_finalizer_can_be_added_to_a_terminating_object(cluster: SimCluster) -> None:
    body = workspace()
    body["metadata"]["finalizers"] = ["a.example/x"]
    cluster.request("POST", WORKSPACES, body)
    cluster.request("DELETE", f"{WORKSPACES}/p")
    patch = {"metadata": {"finalizers": ["a.example/x", "b.example/y"]}}
    assert cluster.request("PATCH", f"{WORKSPACES}/p", patch, content_type=MERGE)[0] == 422


def test_dependents_go_with_their_owner(cluster: SimCluster) -> None:
    _, owner, _ = cluster.request("POST", WORKSPACES, workspace())
    cluster.request("POST", CONFIGMAPS, owned_by(owner))
    cluster.request("DELETE", f"{WORKSPACES}/p")
    assert cluster.request("GET", f"{CONFIGMAPS}/child")[0] == 404


def test_orphaned_dependents_stay_without_the_reference(cluster: SimCluster) -> None:
    _, owner, _ = cluster.request("POST", WORKSPACES, workspace())
    cluster.request("POST", CONFIGMAPS, owned_by(owner))
    cluster.request("DELETE", f"{WORKSPACES}/p", {"propagationPolicy": "Orphan"})
    assert "ownerReferences" not in cluster.get(f"{CONFIGMAPS}/child")["metadata"]


def test_foreground_deletion_waits_for_the_dependents(cluster: SimCluster) -> None:
    _, owner, _ = cluster.request("POST", WORKSPACES, workspace())
    child = owned_by(owner)
    child["metadata"]["finalizers"] = ["a.example/x"]
    cluster.request("POST", CONFIGMAPS, child)
    cluster.request("DELETE", f"{WORKSPACES}/p", {"propagationPolicy": "Foreground"})
    assert cluster.get(f"{WORKSPACES}/p")["metadata"]["finalizers"] == ["foregroundDeletion"]
    patch = {"metadata": {"finalizers": None}}
    cluster.request("PATCH", f"{CONFIGMAPS}/child", patch, content_type=MERGE)
    assert cluster.request("GET", f"{WORKSPACES}/p")[0] == 404


def test_a_missing_namespace_is_404(cluster: SimCluster) -> None:
    body = config_map(metadata={"namespace": "none"})
    status, answer, _ = cluster.request("POST", "/api/v1/namespaces/none/configmaps", body)
    assert (status, answer["message"]) == (404, 'namespaces "none" not found')


def test_a_namespace_takes_its_content_with_it(cluster: SimCluster) -> None:
    cluster.request("POST", NAMESPACES, namespace("team"))
    path = f"{NAMESPACES}/team/configmaps"
    cluster.request("POST", path, config_map(metadata={"namespace": "team"}))
    _, answer, _ = cluster.request("DELETE", f"{NAMESPACES}/team")
    assert answer["status"]["phase"] == "Terminating"
    assert cluster.request("GET", f"{NAMESPACES}/team")[0] == 404
    assert cluster.get(path)["items"] == []


def test_a_terminating_namespace_refuses_new_content(cluster: SimCluster) -> None:
    cluster.request("POST", NAMESPACES, namespace("team"))
    path = f"{NAMESPACES}/team/configmaps"
    stuck = config_map(metadata={"namespace": "team", "finalizers": ["a.example/x"]})
    cluster.request("POST", path, stuck)
    cluster.request("DELETE", f"{NAMESPACES}/team")
    status, answer, _ = cluster.request(
        "POST", path, config_map("d", metadata={"namespace": "team"})
    )
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    patch = {"metadata": {"finalizers": None}}
    cluster.request("PATCH", f"{path}/c", patch, content_type=MERGE)
    assert cluster.request("GET", f"{NAMESPACES}/team")[0] == 404


def test_delete_collection_takes_what_the_selector_finds(cluster: SimCluster) -> None:
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y")):
        cluster.request("POST", CONFIGMAPS, config_map(name, metadata={"labels": {"tier": tier}}))
    cluster.request("DELETE", f"{CONFIGMAPS}?labelSelector=tier%3Dx")
    assert [item["metadata"]["name"] for item in cluster.get(CONFIGMAPS)["items"]] == ["c"]


def test_a_dry_run_delete_leaves_the_object(cluster: SimCluster) -> None:
    cluster.request("POST", CONFIGMAPS, config_map())
    assert cluster.request("DELETE", f"{CONFIGMAPS}/c?dryRun=All")[0] == 200
    assert cluster.request("GET", f"{CONFIGMAPS}/c")[0] == 200
