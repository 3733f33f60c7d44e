"""Plays the GPU operator: an exporter's pod on every ready GPU node, and what it answers.

Exporters hold no GPUs. HAMi's nodes have its monitor besides. Texts are made when they are asked
for, from the floor's table; nothing is kept but the labels of a node's cards.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fleetsim.actors import floor, loads
from fleetsim.actors.floor import Rack
from fleetsim.actors.member import Member
from fleetsim.actors.nodes import GPU
from fleetsim.actors.objects import Obj, digest, finished, labels, meta, node_ready, quantity
from fleetsim.load import cards
from fleetsim.load.noise import Floats, Ints
from fleetsim.runtimes import dcgm, hami
from fleetsim.runtimes.family import Labels
from fleetsim.store import ClusterStore

DCGM, HAMI = "dcgm", "hami"
PORTS = {DCGM: 9400, HAMI: 9394}
_NAMESPACES = {DCGM: "gpu-operator", HAMI: "kube-system"}
_NAMES = {DCGM: "nvidia-dcgm-exporter", HAMI: "hami-device-plugin"}
CONTAINERS = {DCGM: "nvidia-dcgm-exporter", HAMI: "vgpu-monitor"}
_IMAGES = {
    DCGM: "nvcr.io/nvidia/k8s/dcgm-exporter:4.4.1-4.6.0-distroless",
    HAMI: "projecthami/hami:v2.6.0",
}
HAMI_LABEL = "gpu"  # =on: HAMi's device plugin runs there
MANAGER = "gpu-operator"


def kinds_of(node: Obj) -> list[str]:
    """Which exporters a node has."""
    if not node_ready(node) or not quantity(node["status"].get("allocatable", {}).get(GPU)):
        return []
    return [DCGM, HAMI] if labels(node).get(HAMI_LABEL) == "on" else [DCGM]


def seed(store: ClusterStore) -> None:
    """The exporters of the nodes that are there from the start, running."""
    for number, node in enumerate(store.list("Node")):
        for kind in kinds_of(node):
            store.seed(running(pod(kind, meta(node)["name"]), f"10.244.251.{number % 250 + 2}"))


def reconcile(m: Member, _namespace: str, name: str) -> None:
    """Make what a node lacks."""
    node = m.store.get("Node", None, name)
    for kind in kinds_of(node) if node else ():
        wanted = pod(kind, name)
        if m.store.get("Pod", _NAMESPACES[kind], meta(wanted)["name"]) is None:
            m.store.create(wanted, manager=MANAGER)


def pod(kind: str, node: str) -> Obj:
    """An exporter's pod, bound to its node as a DaemonSet's are."""
    ports = [{"name": "metrics", "containerPort": PORTS[kind], "protocol": "TCP"}]
    container = {"name": CONTAINERS[kind], "image": _IMAGES[kind], "ports": ports, "resources": {}}
    name = _NAMES[kind]
    found = {"app": name} if kind == DCGM else {"app.kubernetes.io/component": name}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-{digest(node, 5)}",
            "namespace": _NAMESPACES[kind],
            "labels": found,
        },
        "spec": {
            "nodeName": node,
            "containers": [container],
            "tolerations": [{"operator": "Exists"}],
        },
        "status": {},
    }


def running(obj: Obj, address: str, stamp: str = "2026-01-05T08:00:00Z") -> Obj:
    """A pod as a kubelet shows it once it runs."""
    container = obj["spec"]["containers"][0]
    state: dict[str, Any] = {
        "name": container["name"], "image": container["image"], "imageID": "", "ready": True,
        "started": True, "restartCount": 0, "state": {"running": {"startedAt": stamp}},
    }  # fmt: skip
    ready = {"status": "True", "lastTransitionTime": stamp, "reason": "", "message": ""}
    obj["status"] = {
        "phase": "Running",
        "startTime": stamp,
        "podIP": address,
        "conditions": [{"type": kind, **ready} for kind in ("Ready", "PodScheduled")],
        "containerStatuses": [state],
    }
    return obj


def kind_of(obj: Obj) -> str:
    """Which exporter a pod is; empty for others."""
    found = labels(obj)
    if found.get("app") == _NAMES[DCGM]:
        return DCGM
    return HAMI if found.get("app.kubernetes.io/component") == _NAMES[HAMI] else ""


def text(m: Member, obj: Obj, kind: str) -> str:
    """What an exporter says now; without its node nothing."""
    rack = floor.racks(m).get(obj["spec"].get("nodeName", ""))
    if rack is None or finished(obj):
        return ""
    now = np.array([loads.millis(m)])
    if kind == HAMI:
        return hami.text(hami_rows(m, rack, now))
    if rack.rows is None:
        rack.rows = [dcgm.row(found) for found in card_labels(m, rack)]
    return dcgm.text(dcgm.values(readings(m, rack, now)), rack.rows)


def readings(m: Member, rack: Rack, moments: Ints) -> dcgm.Cards:
    """A node's cards at these moments."""
    xid = np.zeros((rack.count, len(moments)))
    slots = cards.slots(moments) * 1000
    for card, number, since in rack.xids:
        xid[card, slots >= since] = number
    energy = floor.energy(m, rack, moments)
    return dcgm.Cards(floor.state(m, rack, moments), rack.mib, energy, xid)


def old(m: Member) -> bool:
    """Whether the cluster runs an old exporter (Hostname, no labels on free cards)."""
    return m.spec.version < (0, 11)


def card_labels(m: Member, rack: Rack) -> list[Labels]:
    """Each card's labels now, its pod included."""
    holders = {c: t for t in rack.tenancies if t.end is None for c in t.cards}
    found = []
    for card in range(rack.count):
        own = dcgm.labels(card, rack.uuid(card), rack.product, rack.name, old(m))
        holder = None if rack.split else holders.get(card)
        if holder is not None:
            own += (("container", holder.container), ("namespace", holder.namespace),
                    ("pod", holder.pod))  # fmt: skip
        elif not old(m):
            own += (("container", ""), ("namespace", ""), ("pod", ""))
        found.append(own)
    return found


def hami_rows(m: Member, rack: Rack, moments: Ints) -> list[tuple[str, Labels, Floats]]:
    """HAMi's monitor: cards, then the parts of them that containers hold."""
    state = floor.state(m, rack, moments)
    rows: list[tuple[str, Labels, Floats]] = []
    for card in range(rack.count):
        own: Labels = (
            ("node", rack.name), ("device_index", str(card)), ("device_uuid", rack.uuid(card)),
            ("device_type", rack.product),
        )  # fmt: skip
        rows += hami.of_card(own, state.memory[card], state.util[card])
    for tenancy in rack.tenancies:
        if tenancy.end is not None:
            continue
        for number, card in enumerate(tenancy.cards):
            part: Labels = (
                ("namespace", tenancy.namespace), ("pod", tenancy.pod),
                ("container", tenancy.container), ("vdevice_index", str(number)),
                ("device_uuid", rack.uuid(card)),
            )  # fmt: skip
            limit = tenancy.portion * rack.mib
            share = cards.held(tenancy.kind) * limit
            rows += hami.of_part(part, share, limit, state.util[card])
    return rows
