"""Single objects: errors, versions, validation, defaults, as recorded from a real server."""

import pytest

from tests.fleetsim.bodies import (
    CONFIGMAPS,
    MERGE,
    SETS,
    WORKSPACES,
    config_map,
    inference_set,
    workspace,
)
from tests.simfleet import SimCluster


def test_a_new_object_gets_uid_version_generation_and_creation_time(cluster: SimCluster) -> None:
    _, answer, _ = cluster.request("POST", WORKSPACES, workspace())
    meta = answer["metadata"]
    assert len(meta["uid"]) == 36
    assert meta["generation"] == 1
    assert meta["creationTimestamp"].endswith("Z")
    assert int(meta["resourceVersion"]) > 0
    assert meta["managedFields"][0]["operation"] == "Update"


def test_a_config_map_has_no_generation(cluster: SimCluster) -> None:
    _, answer, _ = cluster.request("POST", CONFIGMAPS, config_map())
    assert "generation" not in answer["metadata"]


def test_defaults_appear_and_unknown_fields_are_pruned_with_a_warning(cluster: SimCluster) -> None:
    status, answer, headers = cluster.request("POST", WORKSPACES, workspace(bogus=1))
    assert status == 201
    assert answer["resource"]["count"] == 1
    assert answer["inference"]["preset"]["accessMode"] == "public"
    assert "bogus" not in answer["resource"]
    assert headers["warning"] == '299 - "unknown field \\"resource.bogus\\""'


def test_strict_validation_refuses_an_unknown_field(cluster: SimCluster) -> None:
    path = f"{WORKSPACES}?fieldValidation=Strict"
    status, answer, _ = cluster.request("POST", path, workspace(bogus=1))
    assert status == 400
    assert answer["message"] == 'strict decoding error: unknown field "resource.bogus"'


def test_a_wrong_type_is_422_with_its_field(cluster: SimCluster) -> None:
    status, answer, _ = cluster.request("POST", WORKSPACES, workspace(count="two"))
    assert (status, answer["reason"]) == (422, "Invalid")
    (cause,) = answer["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldValueTypeInvalid", "resource.count")
    assert answer["message"].startswith('Workspace.kaito.sh "p" is invalid: resource.count: ')


def test_enum_minimum_and_required_are_checked(cluster: SimCluster) -> None:
    body = workspace(partition={"mode": "other", "count": 0})
    del body["resource"]["labelSelector"]
    _, answer, _ = cluster.request("POST", WORKSPACES, body)
    found = {(each["field"], each["reason"]) for each in answer["details"]["causes"]}
    assert found == {
        ("resource.labelSelector", "FieldValueRequired"),
        ("resource.partition.mode", "FieldValueNotSupported"),
        ("resource.partition.count", "FieldValueInvalid"),
    }


def test_open_parts_keep_what_they_are_given(cluster: SimCluster) -> None:
    body = inference_set()
    body["spec"]["template"]["metadata"] = {"annotations": {"anything": "goes"}}
    _, answer, _ = cluster.request("POST", SETS, body)
    assert answer["spec"]["template"]["metadata"] == {"annotations": {"anything": "goes"}}
    assert answer["spec"]["replicas"] == 1
    assert answer["spec"]["updateStrategy"]["type"] == "RollingUpdate"


def test_a_name_that_is_taken_is_409_already_exists(cluster: SimCluster) -> None:
    cluster.request("POST", WORKSPACES, workspace())
    status, answer, _ = cluster.request("POST", WORKSPACES, workspace())
    assert (status, answer["reason"]) == (409, "AlreadyExists")
    assert answer["message"] == 'workspaces.kaito.sh "p" already exists'
    assert answer["details"] == {"name": "p", "group": "kaito.sh", "kind": "workspaces"}


def test_404_names_the_object_and_core_kinds_have_no_group(cluster: SimCluster) -> None:
    status, answer, _ = cluster.request("GET", f"{WORKSPACES}/none")
    assert (status, answer["reason"]) == (404, "NotFound")
    assert answer["details"] == {"name": "none", "group": "kaito.sh", "kind": "workspaces"}
    _, answer, _ = cluster.request("GET", f"{CONFIGMAPS}/none")
    assert answer["message"] == 'configmaps "none" not found'
    assert answer["details"] == {"name": "none", "kind": "configmaps"}


def test_an_unknown_group_is_plain_text_404(cluster: SimCluster) -> None:
    status, answer, headers = cluster.request("GET", "/apis/none.example/v1/things")
    assert (status, answer) == (404, "404 page not found\n")
    assert headers["content-type"].startswith("text/plain")


def test_a_name_that_is_no_dns_name_is_422(cluster: SimCluster) -> None:
    status, answer, _ = cluster.request("POST", CONFIGMAPS, config_map("Not_Good"))
    assert status == 422
    assert answer["details"]["causes"][0]["field"] == "metadata.name"


def test_generate_name_adds_five_characters(cluster: SimCluster) -> None:
    body = config_map()
    body["metadata"] = {"generateName": "gen-"}
    _, answer, _ = cluster.request("POST", CONFIGMAPS, body)
    assert len(answer["metadata"]["name"]) == len("gen-") + 5


def test_a_stale_put_is_refused_with_409(cluster: SimCluster) -> None:
    _, obj, _ = cluster.request("POST", WORKSPACES, workspace())
    patch = {"resource": {"count": 2}}
    cluster.request("PATCH", f"{WORKSPACES}/p", patch, content_type=MERGE)
    status, answer, _ = cluster.request("PUT", f"{WORKSPACES}/p", obj)
    assert (status, answer["reason"]) == (409, "Conflict")
    assert answer["message"] == (
        'Operation cannot be fulfilled on workspaces.kaito.sh "p": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_a_put_of_a_custom_resource_needs_a_version(cluster: SimCluster) -> None:
    cluster.request("POST", WORKSPACES, workspace())
    status, answer, _ = cluster.request("PUT", f"{WORKSPACES}/p", workspace())
    assert status == 422
    assert "must be specified for an update" in answer["message"]


def test_a_merge_patch_with_an_old_version_is_409(cluster: SimCluster) -> None:
    _, obj, _ = cluster.request("POST", CONFIGMAPS, config_map())
    first = {"data": {"a": "2"}}
    cluster.request("PATCH", f"{CONFIGMAPS}/c", first, content_type=MERGE)
    late = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "data": {"a": "3"}}
    assert cluster.request("PATCH", f"{CONFIGMAPS}/c", late, content_type=MERGE)[0] == 409


@pytest.mark.parametrize("part", ["resource", "inference"])
def test_any_change_outside_metadata_and_status_bumps_the_generation(
    cluster: SimCluster, part: str
) -> None:
    cluster.request("POST", WORKSPACES, workspace())
    change = {"resource": {"count": 2}, "inference": {"config": "x"}}[part]
    patch = {part: change}
    _, answer, _ = cluster.request("PATCH", f"{WORKSPACES}/p", patch, content_type=MERGE)
    assert answer["metadata"]["generation"] == 2


def test_a_label_does_not_bump_the_generation(cluster: SimCluster) -> None:
    cluster.request("POST", WORKSPACES, workspace())
    patch = {"metadata": {"labels": {"a": "b"}}}
    _, answer, _ = cluster.request("PATCH", f"{WORKSPACES}/p", patch, content_type=MERGE)
    assert answer["metadata"]["generation"] == 1


def test_a_status_put_touches_only_the_status(cluster: SimCluster) -> None:
    _, obj, _ = cluster.request("POST", WORKSPACES, workspace())
    obj["status"] = {"state": "Pending", "targetNodeCount": 1}
    obj["resource"]["instanceType"] = "big"
    _, answer, _ = cluster.request("PUT", f"{WORKSPACES}/p/status", obj)
    assert answer["status"] == {"state": "Pending", "targetNodeCount": 1}
    assert answer["resource"]["instanceType"] == "small"
    assert answer["metadata"]["generation"] == 1


def test_a_put_leaves_the_status_alone(cluster: SimCluster) -> None:
    _, obj, _ = cluster.request("POST", WORKSPACES, {**workspace(), "status": {"state": "Ready"}})
    assert "status" not in obj
    obj["status"] = {"state": "Ready"}
    _, answer, _ = cluster.request("PUT", f"{WORKSPACES}/p", obj)
    assert "status" not in answer


def test_dry_run_create_stores_nothing(cluster: SimCluster) -> None:
    status, answer, _ = cluster.request("POST", f"{WORKSPACES}?dryRun=All", workspace())
    assert (status, answer["resource"]["count"]) == (201, 1)
    assert cluster.request("GET", f"{WORKSPACES}/p")[0] == 404


def test_scale_reads_and_writes_the_replicas_of_an_inference_set(cluster: SimCluster) -> None:
    cluster.request("POST", SETS, inference_set(replicas=2))
    scale = cluster.get(f"{SETS}/p/scale")
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 2)
    patch = {"spec": {"replicas": 5}}
    cluster.request("PATCH", f"{SETS}/p/scale?fieldManager=hpa", patch, content_type=MERGE)
    answer = cluster.get(f"{SETS}/p")
    assert (answer["spec"]["replicas"], answer["metadata"]["generation"]) == (5, 2)


def test_an_immutable_config_map_keeps_its_data(cluster: SimCluster) -> None:
    cluster.request("POST", CONFIGMAPS, config_map(immutable=True))
    patch = {"data": {"a": "2"}}
    status, answer, _ = cluster.request("PATCH", f"{CONFIGMAPS}/c", patch, content_type=MERGE)
    assert status == 422
    assert "field is immutable when `immutable` is set" in answer["message"]
    label = {"metadata": {"labels": {"a": "b"}}}
    assert cluster.request("PATCH", f"{CONFIGMAPS}/c", label, content_type=MERGE)[0] == 200


def test_a_body_that_contradicts_the_url_is_400(cluster: SimCluster) -> None:
    body = config_map()
    body["metadata"]["namespace"] = "kube-system"
    assert cluster.request("POST", CONFIGMAPS, body)[0] == 400
    cluster.request("POST", CONFIGMAPS, config_map())
    assert cluster.request("PUT", f"{CONFIGMAPS}/c", config_map("other"))[0] == 400


def test_broken_json_is_400(cluster: SimCluster) -> None:
    assert cluster.request("POST", CONFIGMAPS, b"{nope")[0] == 400


@pytest.mark.parametrize("part", [{"data": "x"}, {"metadata": []}])
def test_a_body_of_the_wrong_shape_is_400(cluster: SimCluster, part: dict[str, object]) -> None:
    assert cluster.request("POST", CONFIGMAPS, {**config_map(), **part})[0] == 400


def test_a_label_that_is_no_text_is_400(cluster: SimCluster) -> None:
    assert cluster.request("POST", CONFIGMAPS, config_map(metadata={"labels": {"a": 1}}))[0] == 400


@pytest.mark.parametrize("query", ["limit=x", "watch=1&timeoutSeconds=x", "resourceVersion=x"])
def test_a_parameter_that_is_no_number_is_400(cluster: SimCluster, query: str) -> None:
    assert cluster.request("GET", f"{CONFIGMAPS}?{query}")[0] == 400


def test_protobuf_bodies_are_refused_with_what_is_accepted(cluster: SimCluster) -> None:
    content = "application/vnd.kubernetes.protobuf"
    status, answer, _ = cluster.request("POST", CONFIGMAPS, b"k8s\x00", content_type=content)
    assert (status, answer["reason"]) == (415, "UnsupportedMediaType")
    assert "application/json" in answer["message"]


def test_secrets_encode_string_data(cluster: SimCluster) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {"k": "v"},
    }
    path = "/api/v1/namespaces/default/secrets"
    _, answer, _ = cluster.request("POST", path, body)
    assert (answer["data"], answer["type"]) == ({"k": "dg=="}, "Opaque")
    assert "stringData" not in answer


def test_a_custom_kind_exists_only_while_its_definition_does(cluster: SimCluster) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    names = [item["metadata"]["name"] for item in cluster.get(path)["items"]]
    assert "inferencesets.kaito.sh" in names
    cluster.request("DELETE", f"{path}/inferencesets.kaito.sh")
    assert cluster.request("GET", SETS)[0] == 404
    assert cluster.request("GET", WORKSPACES)[0] == 200
