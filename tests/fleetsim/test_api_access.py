"""Tokens, rules and access reviews: a request's 403 and a review's answer never disagree."""

import itertools
from typing import Any

import pytest

from tests.fleetsim.bodies import CONFIGMAPS, SETS, WORKSPACES, config_map, workspace
from tests.simfleet import SimCluster

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
READ_PODS = [{"verbs": ["get", "list"], "resources": ["pods"], "namespaces": ["team"]}]


def allowed(cluster: SimCluster, token: str, **attributes: str) -> bool:
    """What a SelfSubjectAccessReview says."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    status, answer, _ = cluster.request("POST", REVIEWS, body, token=token)
    assert status == 201, answer
    return bool(answer["status"]["allowed"])


def test_no_token_and_a_wrong_token_are_401(cluster: SimCluster) -> None:
    for token in ("wrong", "x y"):
        status, answer, _ = cluster.request("GET", CONFIGMAPS, token=token)
        assert (status, answer["reason"], answer["message"]) == (
            401,
            "Unauthorized",
            "Unauthorized",
        )
    url = cluster.server + CONFIGMAPS
    assert cluster.fleet.call("GET", url, token="")[0] == 401


def test_health_paths_need_no_token(cluster: SimCluster) -> None:
    assert cluster.fleet.call("GET", cluster.server + "/readyz", token="")[:2] == (200, "ok")


def test_a_token_of_one_cluster_is_unknown_to_another(cluster: SimCluster) -> None:
    other = cluster.fleet.add_cluster(bare=True)
    assert other.request("GET", "/api/v1/nodes", token=cluster.token)[0] == 401


def test_an_expired_token_is_401(cluster: SimCluster) -> None:
    token = cluster.new_token(expires_in=0)
    assert cluster.request("GET", "/api/v1/nodes", token=token)[0] == 401
    token = cluster.new_token(expires_in=60)
    assert cluster.request("GET", "/api/v1/nodes", token=token)[0] == 200
    assert cluster.new_token(token=token, expires_in=0) == token
    assert cluster.request("GET", "/api/v1/nodes", token=token)[0] == 401


def test_403_has_kubernetes_words_in_a_namespace(cluster: SimCluster) -> None:
    token = cluster.new_token(user="jane", rules=READ_PODS)
    status, answer, _ = cluster.request("GET", f"{WORKSPACES}/p", token=token)
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == (
        'workspaces.kaito.sh "p" is forbidden: User "jane" cannot get resource "workspaces" '
        'in API group "kaito.sh" in the namespace "default"'
    )
    assert answer["details"] == {"name": "p", "group": "kaito.sh", "kind": "workspaces"}


def test_403_has_kubernetes_words_at_the_cluster_scope(cluster: SimCluster) -> None:
    token = cluster.new_token(user="jane", rules=READ_PODS)
    _, answer, _ = cluster.request("GET", "/api/v1/pods", token=token)
    assert answer["message"] == (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" '
        "at the cluster scope"
    )


def test_a_namespaced_rule_works_only_there(cluster: SimCluster) -> None:
    token = cluster.new_token(rules=READ_PODS)
    assert cluster.request("GET", "/api/v1/namespaces/team/pods", token=token)[0] == 200
    assert cluster.request("GET", "/api/v1/namespaces/default/pods", token=token)[0] == 403


def test_the_portal_may_deploy_but_not_read_secrets_or_write_status(cluster: SimCluster) -> None:
    token = cluster.token
    assert cluster.request("POST", WORKSPACES, workspace(), token=token)[0] == 201
    assert cluster.request("GET", "/api/v1/namespaces/default/secrets", token=token)[0] == 403
    assert cluster.request("GET", f"{WORKSPACES}/p", token=token)[0] == 200
    assert cluster.request("PUT", f"{WORKSPACES}/p/status", {}, token=token)[0] == 403
    assert cluster.request("DELETE", "/api/v1/nodes/n", token=token)[0] == 403


def test_an_apply_needs_patch_and_its_create_too_is_asked_for_patch(cluster: SimCluster) -> None:
    rules = [{"verbs": ["get"], "resources": ["configmaps"]}]
    token = cluster.new_token(rules=rules)
    path = f"{CONFIGMAPS}/c?fieldManager=m"
    content = "application/apply-patch+yaml"
    assert cluster.request("PATCH", path, config_map(), token=token, content_type=content)[0] == 403
    rules[0]["verbs"] = ["patch"]
    token = cluster.new_token(rules=rules)
    status, answer, _ = cluster.request(
        "PATCH", path, config_map(), token=token, content_type=content
    )
    assert status == 403
    assert 'cannot create resource "configmaps"' in answer["message"]


def test_reviews_and_requests_agree(cluster: SimCluster) -> None:
    rules = [
        {"verbs": ["get"], "resources": ["pods", "workspaces.kaito.sh"], "namespaces": ["default"]},
        {"verbs": ["list"], "resources": ["configmaps"]},
    ]
    token = cluster.new_token(rules=rules)
    groups = {"pods": "", "configmaps": "", "workspaces": "kaito.sh"}
    prefix = {"": "/api/v1", "kaito.sh": "/apis/kaito.sh/v1beta1"}
    spaces = ("default", "kube-system", "")
    for (plural, group), verb, space in itertools.product(groups.items(), ("get", "list"), spaces):
        if verb == "get" and not space:
            continue
        inside = f"/namespaces/{space}" if space else ""
        path = f"{prefix[group]}{inside}/{plural}" + ("/x" if verb == "get" else "")
        refused = cluster.request("GET", path, token=token)[0] == 403
        said = allowed(cluster, token, verb=verb, group=group, resource=plural, namespace=space)
        assert said != refused, path


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"verb": "get", "resource": "pods", "subresource": "log"}, True),
        ({"verb": "create", "resource": "services", "subresource": "proxy"}, True),
        ({"verb": "patch", "group": "kaito.sh", "resource": "inferencesets"}, True),
        (
            {
                "verb": "update",
                "group": "kaito.sh",
                "resource": "workspaces",
                "subresource": "status",
            },
            False,
        ),
        ({"verb": "list", "resource": "secrets"}, False),
    ],
)
def test_what_the_portals_role_says(
    cluster: SimCluster, attributes: dict[str, str], expected: bool
) -> None:
    assert allowed(cluster, cluster.token, **attributes) is expected


def test_rules_review_lists_the_rules(cluster: SimCluster) -> None:
    token = cluster.new_token(rules=READ_PODS)
    body = {"spec": {"namespace": "team"}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    _, answer, _ = cluster.request("POST", path, body, token=token)
    (rule,) = answer["status"]["resourceRules"]
    assert (rule["verbs"], rule["apiGroups"], rule["resources"]) == (
        ["get", "list"],
        [""],
        ["pods"],
    )


def test_a_service_account_renews_its_own_token(cluster: SimCluster) -> None:
    path = "/api/v1/namespaces/fleetportal-system/serviceaccounts/fleetportal/token"
    body: dict[str, Any] = {"spec": {"expirationSeconds": 600}}
    status, answer, _ = cluster.request("POST", path, body, token=cluster.token)
    assert status == 201
    fresh = answer["status"]["token"]
    assert fresh != cluster.token
    assert cluster.request("GET", "/api/v1/nodes", token=fresh)[0] == 200


def test_rules_given_at_creation_narrow_the_portals_token(cluster: SimCluster) -> None:
    rules = [{"verbs": ["get", "list"], "resources": ["nodes"]}]
    narrow = cluster.fleet.add_cluster(bare=True, rules=rules)
    assert narrow.request("GET", "/api/v1/nodes", token=narrow.token)[0] == 200
    assert narrow.request("GET", SETS, token=narrow.token)[0] == 403
