"""Whatever a cluster sends, the collector goes on; a broken object costs only itself."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.collector.cache import WATCHED, Cache, Watching
from clusters.collector.member import Member
from clusters.engine.health import Contact
from clusters.engine.inventory import build_inventory
from clusters.engine.skus import sku_facts
from clusters.gateway.stream import Listing, StreamClient
from clusters.gateway.typed import NODES, PODS, Page
from fleetportal.kit.errors import PortalError
from tests.fleet.raw_server import connection_to, raw_server, reply

KINDS = st.sampled_from(WATCHED)
NAMES = st.sampled_from(["a", "b", "", "x" * 300, "\x00", "ü"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | NAMES
KEYS = st.sampled_from(
    ["name", "namespace", "labels", "annotations", "nvidia.com/gpu", "capacity", "allocatable",
     "containers", "resources", "requests", "limits", "conditions", "type", "status", "taints",
     "nodeName", "kaito.sh/workspace", "devices", "results", "allocation", "resourceVersion"]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PARTS = st.sampled_from(["metadata", "spec", "status", "kind", "apiVersion"])
OBJECTS = st.dictionaries(PARTS, VALUES, max_size=4) | VALUES
EVENTS = st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "", "OTHER"])


def as_bytes(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def taken(cache: Cache, watching: Watching, body: bytes) -> None:
    """A list into the cache, as far as it can be read."""
    try:
        page: Page[Any] = watching.reader.page(body)
    except PortalError:
        return
    listing = Listing(page.items, page.resource_version, page.bodies)
    cache.replace(watching.kind, listing)


def check(cache: Cache) -> None:
    """What is kept can be counted and stored."""
    build_inventory(
        cache.nodes,
        cache.pods,
        slices=cache.slices,
        claims=cache.claims,
        skus=sku_facts,
        mode=None,
    )
    for kind in ("Workspace", "InferenceSet", "Pod"):
        text = json.dumps(cache.bodies(kind))
        assert "\\u0000" not in text


@given(KINDS, st.lists(OBJECTS, max_size=4), VALUES)
def test_no_list_breaks_the_cache(watching: Watching, items: list[object], meta: object) -> None:
    cache = Cache()
    for found in ({"resourceVersion": "1"}, meta):
        taken(cache, watching, as_bytes({"items": items, "metadata": found}))
    check(cache)


@given(KINDS, EVENTS, st.lists(OBJECTS, max_size=4))
def test_no_event_breaks_the_cache(watching: Watching, kind: str, objects: list[object]) -> None:
    cache = Cache()
    for found in objects:
        try:
            event = watching.reader.event(as_bytes({"type": kind, "object": found}))
        except PortalError:
            continue
        cache.change(watching.kind, event)
    check(cache)


@given(KINDS, st.binary(max_size=80), st.integers(0, 200), st.booleans())
def test_no_bytes_break_a_reader(watching: Watching, noise: bytes, at: int, is_list: bool) -> None:
    item = {"metadata": {"name": "n0", "labels": {"kaito.sh/workspace": "w"}}, "status": {}}
    whole: dict[str, object] = {"type": "ADDED", "object": item}
    if is_list:
        whole = {"items": [item, item], "metadata": {"resourceVersion": "1"}}
    good = as_bytes(whole)
    spoiled = good[:at] + noise + good[at:]
    read = watching.reader.page if is_list else watching.reader.event
    try:
        read(spoiled)
    except PortalError:
        return


@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_nesting_is_refused_or_read(depth: int) -> None:
    deep = b'{"items":[{"metadata":{"name":"n"},"spec":' + b'{"a":' * depth + b"1" + b"}" * depth
    deep += b'}],"metadata":{"resourceVersion":"1"}}'
    for watching in WATCHED:
        try:
            watching.reader.page(deep)
        except PortalError:
            continue


def test_a_broken_object_costs_only_itself() -> None:
    items = [
        {"metadata": {"name": "good", "labels": {"a": "b"}}},
        {"metadata": {"name": "odd", "labels": {"a": 1, "c": "d"}}, "status": {"capacity": 5}},
        {"metadata": {"labels": {}}},
        "no object",
        {"metadata": {"name": "last"}},
    ]
    page = NODES.page(as_bytes({"items": items, "metadata": {"resourceVersion": "7"}}))
    assert [node.metadata.name for node in page.items] == ["good", "odd", "last"]
    assert page.items[1].metadata.labels == {"c": "d"}
    assert page.resource_version == "7"


def test_whole_bodies_are_kept_of_kaitos_pods_also_beside_broken_ones() -> None:
    ours = {"metadata": {"name": "chat-0", "labels": {"kaito.sh/workspace": "chat"}}, "x": "\x00"}
    broken = {"metadata": {"name": "odd", "labels": {"a": 1}}}
    for items in ([ours], [broken, ours], [ours, broken]):
        page = PODS.page(as_bytes({"items": items, "metadata": {"resourceVersion": "7"}}))
        assert list(page.bodies) == [("", "chat-0")]
        assert page.bodies["", "chat-0"]["x"] == "\ufffd"


# -- a member against a server that sends rubbish --------------------------------------------------

UID = {"metadata": {"uid": "right"}}


def rubbish(seed: int) -> Iterator[bytes]:
    """Bodies that no API server should send, for ever."""
    rng = random.Random(seed)
    while True:
        yield rng.choice(
            [
                rng.randbytes(2_000),
                b"<html>" + b"x" * 500,
                b'{"items": [{"metadata": {"name": 1}}], "metadata": {}}',
                b'{"items": 5, "metadata": {"resourceVersion": "1"}}',
                b"[" * 5_000,
                b'{"type": "ADDED", "object": {"metadata": null}}\n' * 3,
                b"null",
                b"",
            ]
        )


@pytest.mark.parametrize("spoiled", ["all", "lists", "watches"])
def test_a_member_outlives_rubbish_and_asks_seldom(spoiled: str) -> None:
    bodies, said = rubbish(3), list[Contact]()
    whole = as_bytes({"items": [], "metadata": {"resourceVersion": "1"}})

    def script(line: str) -> list[bytes]:
        if "watch=true" in line:
            return [reply(next(bodies))]
        if "kube-system" in line and spoiled != "all":
            return [reply(as_bytes(UID))]
        return [reply(whole if spoiled == "watches" else next(bodies))]

    async def report(contact: Contact, reason: str) -> None:
        said.append(contact)

    async def flush() -> None:
        return

    async def live(port: int) -> bool:
        member = Member(StreamClient(connection_to(port)), "right", Cache(), report, flush)
        task = asyncio.create_task(member.run())
        await asyncio.sleep(6)
        lives = not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return lives

    with raw_server(script) as server:
        assert asyncio.run(live(server.port))
    burst = len(WATCHED) * 2 + 1  # before anything has failed
    assert len(server.heads) <= burst + 6 * 1.2
    assert Contact.PARTIAL in said or spoiled == "watches"
