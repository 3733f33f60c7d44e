"""API servers for the discovery bench: a thousand clusters behind one port, in their own process.

`python -m bench.apiserver --tls DIR`: prints its ports. Answers are made once, so that what is
measured is the client. Nodes are about 9.5 kB and pods about 6.3 kB, as on real clusters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import ssl
import sys
from pathlib import Path
from typing import Any, cast

import uvloop

CLUSTERS, NODES, PODS, VARIANTS = 1_000, 10, 40, 20
MODELS = (
    ("NVIDIA-A100-SXM4-80GB", 81_920, "p4de.24xlarge", 8),
    ("NVIDIA-H100-80GB-HBM3", 81_559, "p5.48xlarge", 8),
    ("NVIDIA-L40S", 46_068, "g6e.48xlarge", 8),
    ("Tesla-T4", 15_360, "Standard_NC64as_T4_v3", 4),
)
INFO = (
    *("architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion"),
    *("kubeletVersion", "machineID", "operatingSystem", "osImage", "systemUUID"),
)
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u"}
STATUS = {"name": "main", "ready": True, "restartCount": 0, "image": "i", "imageID": "i"}


def _managed(rng: random.Random, fields: int) -> list[dict[str, Any]]:
    inner: dict[str, dict[str, str]] = {
        f"f:field-{rng.randrange(10**6)}": {} for _ in range(fields)
    }
    return [
        {
            "manager": manager,
            "operation": "Update",
            "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:status": inner},
        }
        for manager in ("kubelet", "gpu-feature-discovery")
    ]


def node(rng: random.Random, number: int) -> dict[str, Any]:
    """A GPU node with the labels of GPU Feature Discovery, 45 images and what nobody reads."""
    product, memory, instance, count = rng.choice(MODELS)
    labels = {f"feature.node.kubernetes.io/cpu-feature-{n}": "true" for n in range(40)}
    labels |= {
        "nvidia.com/gpu.product": product,
        "nvidia.com/gpu.count": str(count),
        "nvidia.com/gpu.memory": str(memory),
        "nvidia.com/gpu.present": "true",
        "nvidia.com/mig.capable": "false",
        "node.kubernetes.io/instance-type": instance,
        "topology.kubernetes.io/region": "eu-west-1",
        "topology.kubernetes.io/zone": "eu-west-1a",
        "kubernetes.io/hostname": f"node-{number}",
    }
    resources = {"cpu": "96", "memory": "1183747508Ki", "pods": "110", "nvidia.com/gpu": str(count)}
    images = [
        {"names": [f"registry.example.com/team/image-{n}@sha256:{rng.randbytes(32).hex()}"],
         "sizeBytes": rng.randrange(10**9)}
        for n in range(30)
    ]  # fmt: skip
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    return {
        "metadata": {
            "name": f"node-{number}",
            "uid": rng.randbytes(16).hex(),
            "resourceVersion": str(rng.randrange(10**8)),
            "labels": labels,
            "annotations": {"node.alpha.kubernetes.io/ttl": "0", "csi.volume": "x" * 300},
            "managedFields": _managed(rng, 14),
        },
        "spec": {"providerID": f"aws:///eu-west-1a/i-{rng.randbytes(8).hex()}"},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [
                {"type": kind, "status": "True" if kind == "Ready" else "False",
                 "lastHeartbeatTime": "2026-01-01T00:00:00Z", "reason": "KubeletReady",
                 "message": "kubelet is posting a status"}
                for kind in kinds
            ],
            "images": images,
            "nodeInfo": dict.fromkeys(INFO, "v1.33.1"),
        },
    }  # fmt: skip


def pod(rng: random.Random, number: int) -> dict[str, Any]:
    """Every fourth pod holds GPUs; the rest is what else runs on such a cluster."""
    holds = number % 4 == 0
    asked = {"cpu": "4", "memory": "16Gi"} | ({"nvidia.com/gpu": "1"} if holds else {})
    container = {
        "name": "main",
        "image": f"registry.example.com/app@sha256:{rng.randbytes(32).hex()}",
        "env": [{"name": f"VARIABLE_{n}", "value": rng.randbytes(20).hex()} for n in range(24)],
        "resources": {"requests": asked, "limits": asked},
        "volumeMounts": [{"name": f"v{n}", "mountPath": f"/mnt/{n}"} for n in range(10)],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
    }
    return {
        "metadata": {
            "name": f"pod-{number}",
            "namespace": f"team-{number % 5}",
            "uid": rng.randbytes(16).hex(),
            "resourceVersion": str(rng.randrange(10**8)),
            "labels": {"app": f"app-{number}", "pod-template-hash": rng.randbytes(5).hex()},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u"}
            ],
            "managedFields": _managed(rng, 24),
        },
        "spec": {
            "nodeName": f"node-{number % NODES}",
            "containers": [container],
            "volumes": [{"name": f"v{n}", "emptyDir": {}} for n in range(10)],
            "tolerations": [{"key": f"k{n}", "operator": "Exists"} for n in range(4)],
        },
        "status": {
            "phase": "Running",
            "podIP": f"10.0.{number}.7",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [STATUS],
        },
    }


def answers() -> list[dict[str, bytes]]:
    """By variant: path without query -> a whole HTTP answer."""
    found = []
    for seed in range(VARIANTS):
        rng = random.Random(seed)
        lists = {
            "/api/v1/nodes": ("NodeList", [node(rng, n) for n in range(NODES)]),
            "/api/v1/pods": ("PodList", [pod(rng, n) for n in range(PODS)]),
        }
        found.append({path: _answer(kind, items) for path, (kind, items) in lists.items()})
    return found


def _answer(kind: str, items: list[dict[str, Any]]) -> bytes:
    listed = {
        "kind": kind,
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "100"},
        "items": items,
    }
    body = json.dumps(listed, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


EMPTY = _answer("List", [])
WATCH = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BOOKMARK = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"100"}}}\n'
BOOKMARK_EVERY = 30.0  # seconds
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"


def identity(number: int) -> bytes:
    """What the namespace kube-system of that cluster says."""
    body = json.dumps({"metadata": {"uid": f"uid-{number}"}}).encode()
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Server(asyncio.Protocol):
    """`/clusters/N/...` answers as cluster N; watches bring bookmarks and nothing else."""

    lists = 0  # asked for so far, over all connections

    def __init__(self, variants: list[dict[str, bytes]]) -> None:
        self._variants = variants
        self._rest = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's own do not inherit from it
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while b"\r\n\r\n" in self._rest:
            head, _, self._rest = self._rest.partition(b"\r\n\r\n")
            path, _, query = head.split(b" ", 2)[1].decode().partition("?")
            if "watch=true" in query:
                self._transport.write(WATCH)
                self._bookmark()
            else:
                self._transport.write(self._answer(path))

    def _answer(self, path: str) -> bytes:
        if path == "/lists":
            return _answer(str(Server.lists), [])
        _, _, number, rest = path.split("/", 3)
        if rest == "api/v1/namespaces/kube-system":
            return identity(int(number))
        Server.lists += 1
        if rest.startswith("apis/resource.k8s.io"):
            return NOT_FOUND
        return self._variants[int(number) % VARIANTS].get("/" + rest, EMPTY)

    def _bookmark(self) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(BOOKMARK), BOOKMARK))
        self._timer = asyncio.get_running_loop().call_later(BOOKMARK_EVERY, self._bookmark)


async def serve(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    variants = answers()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    ports = []
    for tls in (None, context):
        server = await loop.create_server(
            lambda: Server(variants), "127.0.0.1", 0, ssl=tls, backlog=2_000
        )
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the bench ends


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", type=Path, required=True)
    uvloop.run(serve(parser.parse_args().tls))


if __name__ == "__main__":
    main()
