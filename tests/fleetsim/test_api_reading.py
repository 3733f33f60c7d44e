"""Lists, pages, selectors and watches, as recorded from a real server."""

import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fleetsim.bodies import CONFIGMAPS, MERGE, config_map, pod
from tests.simfleet import SimCluster

PODS = "/api/v1/namespaces/default/pods"


def make(cluster: SimCluster, count: int) -> None:
    """ConfigMaps c00, c01 ... with label n=their number."""
    for number in range(count):
        labels = {"n": str(number), "half": "low" if number < count / 2 else "high"}
        cluster.request(
            "POST", CONFIGMAPS, config_map(f"c{number:02d}", metadata={"labels": labels})
        )


def names(listing: dict[str, Any]) -> list[str]:
    """The names in a List."""
    return [item["metadata"]["name"] for item in listing["items"]]


def select(cluster: SimCluster, **query: str) -> tuple[int, Any]:
    """(status, answer) of a list of ConfigMaps."""
    return cluster.request("GET", f"{CONFIGMAPS}?{urllib.parse.urlencode(query)}")[:2]


def events(cluster: SimCluster, path: str = CONFIGMAPS, **query: Any) -> Iterator[dict[str, Any]]:
    """The events of a watch, until the server ends it."""
    query = {"watch": "1", "timeoutSeconds": 1, **query}
    request = urllib.request.Request(f"{cluster.server}{path}?{urllib.parse.urlencode(query)}")
    request.add_header("Authorization", f"Bearer {cluster.admin_token}")
    with urllib.request.urlopen(request, timeout=15, context=cluster.fleet.tls) as answer:
        assert answer.status == 200
        for line in answer:
            yield json.loads(line)


def version(cluster: SimCluster) -> str:
    """The cluster's resourceVersion."""
    return str(cluster.get(CONFIGMAPS)["metadata"]["resourceVersion"])


def test_a_list_has_a_version_and_items_of_core_kinds_have_no_kind(cluster: SimCluster) -> None:
    make(cluster, 1)
    listing = cluster.get(CONFIGMAPS)
    assert (listing["kind"], listing["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(listing["metadata"]["resourceVersion"]) > 0
    assert "kind" not in listing["items"][0]
    assert cluster.get(f"{CONFIGMAPS}/c00")["kind"] == "ConfigMap"


def test_items_of_custom_lists_carry_their_kind(cluster: SimCluster) -> None:
    listing = cluster.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    assert "kind" not in listing["items"][0]
    cluster.request(
        "POST",
        "/apis/karpenter.sh/v1/nodepools",
        {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "a"}},
    )
    assert cluster.get("/apis/karpenter.sh/v1/nodepools")["items"][0]["kind"] == "NodePool"


def test_pages_cover_everything_once_and_keep_the_first_version(cluster: SimCluster) -> None:
    make(cluster, 7)
    _, first = select(cluster, limit="3")
    assert first["metadata"]["remainingItemCount"] == 4
    make_one = config_map("zz")
    cluster.request("POST", CONFIGMAPS, make_one)
    _, second = select(cluster, limit="3", **{"continue": first["metadata"]["continue"]})
    _, third = select(cluster, limit="3", **{"continue": second["metadata"]["continue"]})
    assert names(first) + names(second) + names(third) == [f"c{n:02d}" for n in range(7)] + ["zz"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in third["metadata"]


def test_no_remaining_count_with_a_selector(cluster: SimCluster) -> None:
    make(cluster, 4)
    _, page = select(cluster, limit="1", labelSelector="half")
    assert "continue" in page["metadata"]
    assert "remainingItemCount" not in page["metadata"]


def test_a_bad_continue_token_is_400_and_an_old_one_410(cluster: SimCluster) -> None:
    make(cluster, 3)
    assert select(cluster, limit="1", **{"continue": "nonsense"})[0] == 400
    _, page = select(cluster, limit="1")
    make_more = config_map("later")
    cluster.request("POST", CONFIGMAPS, make_more)
    cluster.compact()
    status, answer = select(cluster, limit="1", **{"continue": page["metadata"]["continue"]})
    assert (status, answer["reason"]) == (410, "Expired")


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("n=1", ["c01"]),
        ("n==1", ["c01"]),
        ("n in (0,3)", ["c00", "c03"]),
        ("n notin (0,3)", ["c01", "c02"]),
        ("half!=low", ["c02", "c03"]),
        ("half=low,n!=0", ["c01"]),
        ("missing", []),
        ("!missing,n=2", ["c02"]),
    ],
)
def test_label_selectors(cluster: SimCluster, selector: str, found: list[str]) -> None:
    make(cluster, 4)
    assert names(select(cluster, labelSelector=selector)[1]) == found


def test_bad_selectors_are_400(cluster: SimCluster) -> None:
    status, answer = select(cluster, labelSelector="a in (")
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert "unable to parse requirement" in answer["message"]
    status, answer = select(cluster, fieldSelector="spec.foo=x")
    assert (status, answer["message"]) == (400, "field label not supported: spec.foo")


def test_field_selectors_know_names_nodes_and_phases(cluster: SimCluster) -> None:
    make(cluster, 2)
    assert names(select(cluster, fieldSelector="metadata.name=c01")[1]) == ["c01"]
    cluster.request("POST", PODS, pod("a", spec={"nodeName": "n1"}))
    cluster.request("POST", PODS, pod("b"))
    assert names(cluster.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")) == ["a"]
    assert names(cluster.get("/api/v1/pods?fieldSelector=status.phase%3DPending")) == ["a", "b"]
    assert names(cluster.get("/api/v1/pods?fieldSelector=status.phase%21%3DPending")) == []


def test_a_list_from_the_future_is_504(cluster: SimCluster) -> None:
    path = f"{CONFIGMAPS}?resourceVersion=999999&resourceVersionMatch=NotOlderThan"
    status, answer, headers = cluster.request("GET", path)
    assert (status, answer["reason"]) == (504, "Timeout")
    assert answer["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert headers["retry-after"] == "1"


def test_a_watch_from_the_lists_version_sees_only_what_comes_later(cluster: SimCluster) -> None:
    make(cluster, 2)
    since = version(cluster)
    cluster.request("PATCH", f"{CONFIGMAPS}/c00", {"data": {"a": "2"}}, content_type=MERGE)
    cluster.request("DELETE", f"{CONFIGMAPS}/c01")
    found = [
        (each["type"], each["object"]["metadata"]["name"])
        for each in events(cluster, resourceVersion=since)
    ]
    assert found == [("MODIFIED", "c00"), ("DELETED", "c01")]


def test_a_watch_without_version_begins_with_what_exists(cluster: SimCluster) -> None:
    make(cluster, 2)
    found = [(each["type"], each["object"]["kind"]) for each in events(cluster)]
    assert found[:2] == [("ADDED", "ConfigMap"), ("ADDED", "ConfigMap")]


def test_live_events_reach_an_open_watch(cluster: SimCluster) -> None:
    since = version(cluster)
    stream = events(cluster, resourceVersion=since, timeoutSeconds=10)
    timer = threading.Timer(0.3, make, (cluster, 1))
    timer.start()
    event = next(stream)
    timer.join()
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "c00")


def test_a_too_old_watch_is_200_with_one_error_event(cluster: SimCluster) -> None:
    (event,) = events(cluster, resourceVersion="2")
    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith("too old resource version: 2 (")


def test_compaction_makes_a_version_too_old(cluster: SimCluster) -> None:
    since = version(cluster)
    make(cluster, 1)
    cluster.compact()
    assert next(events(cluster, resourceVersion=since))["type"] == "ERROR"


def test_a_selector_turns_leaving_into_deleted_and_returning_into_added(
    cluster: SimCluster,
) -> None:
    make(cluster, 1)
    since = version(cluster)
    for value in ("9", "0", "0"):
        patch = {"metadata": {"labels": {"n": value}}, "data": {"a": f"{value}-"}}
        cluster.request("PATCH", f"{CONFIGMAPS}/c00", patch, content_type=MERGE)
    found = [each["type"] for each in events(cluster, resourceVersion=since, labelSelector="n=0")]
    assert found == ["DELETED", "ADDED"]


def test_bookmarks_carry_the_clusters_version(cluster: SimCluster) -> None:
    make(cluster, 1)
    since = version(cluster)
    cluster.request("POST", PODS, pod("a"))
    *_, last = events(cluster, resourceVersion=since, allowWatchBookmarks="true")
    assert last["type"] == "BOOKMARK"
    assert int(last["object"]["metadata"]["resourceVersion"]) > int(since)


def test_a_watch_ends_at_its_timeout(cluster: SimCluster) -> None:
    assert list(events(cluster, resourceVersion=version(cluster), timeoutSeconds=1)) == []


def test_hanging_up_ends_an_open_watch(cluster: SimCluster) -> None:
    timer = threading.Timer(0.3, cluster.hang_up)
    timer.start()
    assert list(events(cluster, resourceVersion=version(cluster), timeoutSeconds=60)) == []
    timer.join()


def test_initial_events_end_with_an_annotated_bookmark(cluster: SimCluster) -> None:
    make(cluster, 1)
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    found = list(events(cluster, allowWatchBookmarks="true", **query))
    assert [each["type"] for each in found[:2]] == ["ADDED", "BOOKMARK"]
    assert found[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
