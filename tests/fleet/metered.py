"""A simulated cluster that serves a model under load, and the portal's clients for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from clusters.engine.shapes import Pod
from clusters.engine.telemetry.targets import target_of
from clusters.engine.telemetry.types import Target
from clusters.gateway import Connection, kinds
from clusters.gateway.stream import StreamClient
from clusters.gateway.typed import PODS
from tests.fleet.harness import L4, until
from tests.simfleet import SimCluster, SimFleet

T = TypeVar("T")
SUBJECT = "team/chat"
POD = ("team", "chat-0")
LINUX = {"kubernetes.io/os": "linux"}
CHAT = {
    "namespace": "team",
    "name": "chat",
    "selector": LINUX,
    "preset": "phi-4-mini-instruct",
}


def serving_cluster(sim: SimFleet, **spec: Any) -> SimCluster:
    """One workspace, team/chat, that clients send to, four nodes with DCGM, and a Prometheus."""
    wanted: dict[str, Any] = {
        "nodes": [dict(L4)],
        "exporters": True,
        "foreign_workspaces": [dict(CHAT)],
    }
    cluster = sim.add_cluster(**(wanted | spec))
    front = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "front", "namespace": "team"},
        "spec": {
            "selector": {"kaito.sh/workspace": "chat"},
            "ports": [{"port": 80, "targetPort": 5000}],
        },
    }
    until("the engine answers", lambda: _ready(cluster))
    status, answer, _ = cluster.request("POST", "/api/v1/namespaces/team/services", front)
    assert status < 300, answer
    return cluster


def _ready(cluster: SimCluster) -> bool:
    conditions = [
        condition
        for pod in cluster.objects("Pod", "team")
        for condition in pod.get("status", {}).get("conditions", ())
    ]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def connection_to(cluster: SimCluster, token: str = "") -> Connection:
    return Connection(
        cluster_id=cluster.name,
        credential_version=1,
        server=cluster.server,
        ca_pem=cluster.ca_pem,
        token=token or cluster.token,
        allow_loopback=True,
    )


async def pods_of(client: StreamClient) -> list[Pod]:
    return (await client.list_objects(kinds.POD, PODS)).items


async def targets_of(client: StreamClient) -> list[Target]:
    return [target for pod in await pods_of(client) if (target := target_of(pod)) is not None]


def asking(
    cluster: SimCluster, work: Callable[[StreamClient], Coroutine[Any, Any, T]], token: str = ""
) -> T:
    """Run `work` with a client of the cluster in a loop of its own."""

    async def run() -> T:
        client = StreamClient(connection_to(cluster, token))
        try:
            return await work(client)
        finally:
            client.close()

    return asyncio.run(run())
