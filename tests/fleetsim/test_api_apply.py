"""Server-side apply and patches answer as the recorded real server does."""

from typing import Any

from tests.fleetsim.bodies import (
    APPLY,
    CONFIGMAPS,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    WORKSPACES,
    config_map,
    pod,
    workspace,
)
from tests.simfleet import SimCluster


def apply(
    cluster: SimCluster,
    body: dict[str, Any],
    manager: str = "m",
    query: str = "",
    base: str = WORKSPACES,
) -> tuple[int, Any]:
    """(status, answer) of an apply."""
    path = f"{base}/{body['metadata']['name']}?fieldManager={manager}{query}"
    return cluster.request("PATCH", path, body, content_type=APPLY)[:2]


def create(cluster: SimCluster, body: dict[str, Any], manager: str = "creator") -> dict[str, Any]:
    """The created Workspace."""
    status, answer, _ = cluster.request("POST", f"{WORKSPACES}?fieldManager={manager}", body)
    assert status == 201, answer
    assert isinstance(answer, dict)
    return answer


def entry(obj: dict[str, Any], manager: str) -> dict[str, Any]:
    """The managedFields entry of a manager."""
    (found,) = [each for each in obj["metadata"]["managedFields"] if each["manager"] == manager]
    assert isinstance(found, dict)
    return found


def test_applying_a_missing_object_creates_it_with_201(cluster: SimCluster) -> None:
    status, answer = apply(cluster, workspace())
    assert status == 201
    assert answer["metadata"]["generation"] == 1
    assert entry(answer, "m")["operation"] == "Apply"


def test_applying_the_same_again_answers_200_and_keeps_the_version(cluster: SimCluster) -> None:
    _, first = apply(cluster, workspace())
    status, second = apply(cluster, workspace())
    assert status == 200
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_conflict_names_the_updater_its_version_and_the_field(cluster: SimCluster) -> None:
    create(cluster, workspace())
    status, answer = apply(cluster, workspace(instanceType="big"))
    assert (status, answer["reason"]) == (409, "Conflict")
    assert answer["message"] == (
        'Apply failed with 1 conflict: conflict with "creator" using kaito.sh/v1beta1: '
        ".resource.instanceType"
    )
    assert answer["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "creator" using kaito.sh/v1beta1',
            "field": ".resource.instanceType",
        }
    ]


def test_a_conflict_with_an_applier_has_no_version_part(cluster: SimCluster) -> None:
    apply(cluster, workspace(), "first")
    status, answer = apply(cluster, workspace(instanceType="big"), "second")
    assert status == 409
    assert answer["message"].endswith('conflict with "first": .resource.instanceType')


def test_two_conflicts_are_listed_one_per_line(cluster: SimCluster) -> None:
    create(cluster, workspace(count=1))
    _, answer = apply(cluster, workspace(instanceType="big", count=2))
    assert answer["message"] == (
        "Apply failed with 2 conflicts: "
        'conflicts with "creator" using kaito.sh/v1beta1:\n'
        "- .resource.count\n- .resource.instanceType"
    )


def test_force_takes_the_field_over(cluster: SimCluster) -> None:
    create(cluster, workspace())
    status, answer = apply(cluster, workspace(instanceType="big"), query="&force=true")
    assert (status, answer["resource"]["instanceType"]) == (200, "big")
    assert "f:instanceType" not in entry(answer, "creator")["fieldsV1"]["f:resource"]


def test_the_same_value_is_owned_by_both_without_conflict(cluster: SimCluster) -> None:
    create(cluster, workspace())
    status, answer = apply(cluster, workspace())
    assert status == 200
    assert "f:instanceType" in entry(answer, "creator")["fieldsV1"]["f:resource"]
    assert "f:instanceType" in entry(answer, "m")["fieldsV1"]["f:resource"]


def test_an_owned_field_left_out_is_dropped(cluster: SimCluster) -> None:
    body = workspace()
    body["inference"]["config"] = "params"
    apply(cluster, body)
    del body["inference"]["config"]
    _, answer = apply(cluster, body)
    assert "config" not in answer["inference"]
    assert answer["metadata"]["generation"] == 2


def test_a_field_left_out_stays_while_somebody_else_owns_it(cluster: SimCluster) -> None:
    body = workspace()
    body["inference"]["config"] = "params"
    create(cluster, body)
    apply(cluster, body)
    del body["inference"]["config"]
    _, answer = apply(cluster, body)
    assert answer["inference"]["config"] == "params"


def test_a_dropped_field_with_a_default_falls_back_to_it(cluster: SimCluster) -> None:
    apply(cluster, workspace(count=3))
    _, answer = apply(cluster, workspace())
    assert answer["resource"]["count"] == 1


def test_the_label_selector_is_one_atomic_field(cluster: SimCluster) -> None:
    create(cluster, workspace())
    body = workspace(labelSelector={"matchLabels": {"other": "x"}})
    status, answer = apply(cluster, body)
    assert status == 409
    assert answer["details"]["causes"][0]["field"] == ".resource.labelSelector"
    _, forced = apply(cluster, body, query="&force=true")
    assert forced["resource"]["labelSelector"] == {"matchLabels": {"other": "x"}}
    assert entry(forced, "m")["fieldsV1"]["f:resource"]["f:labelSelector"] == {}


def test_conditions_without_list_type_are_atomic(cluster: SimCluster) -> None:
    obj = create(cluster, workspace())
    stamp = "2026-01-01T00:00:00Z"
    condition = {
        "type": "A",
        "status": "True",
        "reason": "r",
        "message": "",
        "lastTransitionTime": stamp,
    }
    obj["status"] = {"conditions": [condition]}
    _, answer, _ = cluster.request("PUT", f"{WORKSPACES}/p/status?fieldManager=kaito", obj)
    assert entry(answer, "kaito")["fieldsV1"]["f:status"]["f:conditions"] == {}


def test_updates_own_the_maps_they_create_and_applies_of_structs_do_not(
    cluster: SimCluster,
) -> None:
    create(cluster, workspace())
    _, answer = apply(cluster, workspace())
    assert "." in entry(answer, "creator")["fieldsV1"]["f:resource"]
    assert "." not in entry(answer, "m")["fieldsV1"]["f:resource"]


def test_apply_without_a_manager_is_422(cluster: SimCluster) -> None:
    status, answer, _ = cluster.request("PATCH", f"{WORKSPACES}/p", workspace(), content_type=APPLY)
    assert (status, answer["reason"]) == (422, "Invalid")
    (cause,) = answer["details"]["causes"]
    assert (cause["field"], cause["reason"]) == ("fieldManager", "FieldValueRequired")


def test_apply_with_managed_fields_is_400(cluster: SimCluster) -> None:
    body = workspace()
    body["metadata"]["managedFields"] = [{"manager": "x"}]
    status, answer = apply(cluster, body)
    assert (status, answer["message"]) == (400, "metadata.managedFields must be nil")


def test_a_strict_apply_of_an_undeclared_field_is_500(cluster: SimCluster) -> None:
    status, answer = apply(cluster, workspace(bogus=1), query="&fieldValidation=Strict")
    assert status == 500
    assert answer["message"].startswith("failed to create typed patch object")
    assert answer["message"].endswith("field not declared in schema")


def test_a_dry_run_apply_changes_nothing(cluster: SimCluster) -> None:
    status, _ = apply(cluster, workspace(), query="&dryRun=All")
    assert status == 201
    assert cluster.objects("Workspace") == []


def test_dry_run_of_a_change_keeps_the_stored_version(cluster: SimCluster) -> None:
    _, first = apply(cluster, workspace())
    status, shown = apply(cluster, workspace(instanceType="big"), query="&dryRun=All")
    assert (status, shown["resource"]["instanceType"]) == (200, "big")
    assert cluster.get(f"{WORKSPACES}/p") == first


def test_an_apply_with_another_uid_is_refused(cluster: SimCluster) -> None:
    apply(cluster, workspace())
    body = workspace()
    body["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
    assert apply(cluster, body)[0] == 409


def test_keyed_lists_merge_by_their_keys(cluster: SimCluster) -> None:
    path = "/api/v1/namespaces/default/pods"
    cluster.request("POST", f"{path}?fieldManager=creator", pod("a"))
    sidecar = pod("a", spec={"containers": [{"name": "side", "image": "y"}]})
    _, answer = apply(cluster, sidecar, base=path)
    assert [each["name"] for each in answer["spec"]["containers"]] == ["main", "side"]
    fields = entry(answer, "m")["fieldsV1"]["f:spec"]["f:containers"]
    assert fields == {'k:{"name":"side"}': {".": {}, "f:image": {}, "f:name": {}}}


def test_an_item_of_a_keyed_list_that_is_left_out_goes_as_a_whole(cluster: SimCluster) -> None:
    path = "/api/v1/namespaces/default/pods"
    port = {"containerPort": 80, "name": "http"}
    second = {"name": "side", "image": "y", "ports": [port], "env": [{"name": "A", "value": "1"}]}
    both = pod("a", spec={"containers": [{"name": "main", "image": "x"}, second]})
    apply(cluster, both, base=path)
    _, answer = apply(cluster, pod("a"), base=path)
    assert answer["spec"]["containers"] == [{"name": "main", "image": "x"}]


def test_the_last_label_left_out_takes_the_map_with_it(cluster: SimCluster) -> None:
    apply(cluster, config_map(metadata={"labels": {"a": "b"}}), base=CONFIGMAPS)
    _, answer = apply(cluster, config_map(), base=CONFIGMAPS)
    assert "labels" not in answer["metadata"]


def test_the_selector_of_a_service_is_replaced_as_a_whole(cluster: SimCluster) -> None:
    path = "/api/v1/namespaces/default/services"
    spec = {"selector": {"app": "x", "rev": "1"}, "ports": [{"port": 80, "targetPort": 5000}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}
    apply(cluster, body, base=path)
    spec["selector"] = {"app": "y"}
    _, answer = apply(cluster, body, base=path)
    assert answer["spec"]["selector"] == {"app": "y"}
    assert answer["spec"]["ports"][0]["protocol"] == "TCP"


def test_an_object_without_managers_belongs_to_before_first_apply(cluster: SimCluster) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
    namespace["metadata"] = {"name": "default", "labels": {"kubernetes.io/metadata.name": "other"}}
    status, answer = apply(cluster, namespace, base="/api/v1/namespaces")
    assert status == 409
    assert 'conflict with "before-first-apply" using v1' in answer["message"]


def test_a_merge_patch_prunes_an_unknown_field_with_a_warning(cluster: SimCluster) -> None:
    create(cluster, workspace())
    patch = {"resource": {"bogus": 1}}
    status, answer, headers = cluster.request("PATCH", f"{WORKSPACES}/p", patch, content_type=MERGE)
    assert status == 200
    assert "bogus" not in answer["resource"]
    assert 'unknown field \\"resource.bogus\\"' in headers["warning"]


def test_a_strategic_patch_of_a_custom_resource_is_415(cluster: SimCluster) -> None:
    create(cluster, workspace())
    status, answer, _ = cluster.request("PATCH", f"{WORKSPACES}/p", {}, content_type=STRATEGIC)
    assert (status, answer["reason"]) == (415, "UnsupportedMediaType")
    for accepted in (JSON_PATCH, MERGE, APPLY):
        assert accepted in answer["message"]


def test_a_strategic_patch_of_a_pod_merges_containers_by_name(cluster: SimCluster) -> None:
    path = "/api/v1/namespaces/default/pods"
    cluster.request("POST", path, pod("a"))
    patch = {"spec": {"containers": [{"name": "main", "image": "new"}]}}
    _, answer, _ = cluster.request("PATCH", f"{path}/a", patch, content_type=STRATEGIC)
    assert answer["spec"]["containers"] == [{"name": "main", "image": "new"}]


def test_a_merge_patch_cannot_touch_status(cluster: SimCluster) -> None:
    create(cluster, workspace())
    patch = {"status": {"state": "Ready"}}
    _, answer, _ = cluster.request("PATCH", f"{WORKSPACES}/p", patch, content_type=MERGE)
    assert "status" not in answer


def test_a_json_patch_replaces_removes_and_tests(cluster: SimCluster) -> None:
    cluster.request("POST", CONFIGMAPS, config_map())
    steps = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "add", "path": "/data/b", "value": "3"},
    ]
    _, answer, _ = cluster.request("PATCH", f"{CONFIGMAPS}/c", steps, content_type=JSON_PATCH)
    assert answer["data"] == {"a": "2", "b": "3"}
    status, _, _ = cluster.request("PATCH", f"{CONFIGMAPS}/c", steps, content_type=JSON_PATCH)
    assert status == 422


def test_a_patch_that_changes_nothing_keeps_the_version(cluster: SimCluster) -> None:
    first = create(cluster, workspace())
    patch = {"resource": {"instanceType": "small"}}
    _, answer, _ = cluster.request("PATCH", f"{WORKSPACES}/p", patch, content_type=MERGE)
    assert answer["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_the_status_subresource_is_tracked_apart_and_keeps_the_generation(
    cluster: SimCluster,
) -> None:
    create(cluster, workspace())
    patch = {"status": {"state": "Ready"}, "resource": {"instanceType": "big"}}
    path = f"{WORKSPACES}/p/status?fieldManager=kaito"
    _, answer, _ = cluster.request("PATCH", path, patch, content_type=MERGE)
    assert answer["status"] == {"state": "Ready"}
    assert answer["resource"]["instanceType"] == "small"
    assert answer["metadata"]["generation"] == 1
    assert entry(answer, "kaito")["subresource"] == "status"


def test_another_managers_status_survives_an_apply(cluster: SimCluster) -> None:
    apply(cluster, workspace())
    path = f"{WORKSPACES}/p/status?fieldManager=kaito"
    cluster.request("PATCH", path, {"status": {"state": "Ready"}}, content_type=MERGE)
    _, answer = apply(cluster, workspace(instanceType="big"))
    assert answer["status"] == {"state": "Ready"}
    assert answer["metadata"]["generation"] == 2
