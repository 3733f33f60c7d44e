"""Whose machine a node is: provider, region, zone, how it is paid for, its node group. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clusters.engine.raw import first, word
from clusters.engine.shapes import Node

BYO = "byo"
_SCHEMES = {"azure": "azure", "aws": "aws", "gce": "gcp"}
_PREFIXES = (
    ("kubernetes.azure.com/", "azure"),
    ("karpenter.azure.com/", "azure"),
    ("eks.amazonaws.com/", "aws"),
    ("karpenter.k8s.aws/", "aws"),
    ("cloud.google.com/", "gcp"),
)
_ALL_PREFIXES = tuple(prefix for prefix, _ in _PREFIXES)
_ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_GROUP_LABELS = (
    "karpenter.sh/nodepool",
    "kubernetes.azure.com/agentpool",
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
)
# label, and what its value (in lower case) says about how the node is paid for; "*": any value
_CAPACITY_LABELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("cloud.google.com/gke-preemptible", {"true": "spot"}),
    ("cloud.google.com/gke-provisioning", {"spot": "spot", "preemptible": "spot"}),
    ("cloud.google.com/gke-spot", {"true": "spot"}),
    ("cloud.google.com/reservation-name", {"*": "reserved"}),
    ("eks.amazonaws.com/capacityType", {"spot": "spot", "capacity_block": "reserved"}),
    ("karpenter.sh/capacity-type", {"spot": "spot", "reserved": "reserved"}),
    ("kubernetes.azure.com/scalesetpriority", {"spot": "spot"}),
)


class Place(msgspec.Struct, frozen=True):
    """`capacity_label` is the label that said how the node is paid for."""

    provider: str = BYO  # azure | aws | gcp | byo
    region: str = ""
    zone: str = ""
    capacity_type: str = "on-demand"  # on-demand | spot | reserved
    capacity_label: tuple[str, str] | None = None
    node_group: str = ""


def place_of(node: Node, labels: Mapping[str, str]) -> Place:
    scheme, _, path = node.spec.provider_id.partition("://")
    provider = _SCHEMES.get(scheme) or _by_prefix(labels)
    zone = first(labels, _ZONE_LABELS) or _zone_of_id(scheme, path)
    capacity_label, capacity_type = _capacity(labels)
    return Place(
        provider=provider,
        region=first(labels, _REGION_LABELS) or _region_of(provider, zone),
        zone=zone,
        capacity_type=capacity_type,
        capacity_label=capacity_label,
        node_group=first(labels, _GROUP_LABELS),
    )


def _by_prefix(labels: Mapping[str, str]) -> str:
    """Clouds' labels are looked for in one order, whatever the order of the labels."""
    named = [label for label in labels if label.startswith(_ALL_PREFIXES)]
    if not named:
        return BYO
    return next(
        provider for prefix, provider in _PREFIXES for label in named if label.startswith(prefix)
    )


def _zone_of_id(scheme: str, path: str) -> str:
    """aws:///<zone>/<instance>, gce://<project>/<zone>/<instance>."""
    parts = path.split("/")
    named = parts[1] if scheme in ("aws", "gce") and len(parts) == 3 else ""
    return named if len(named) < 64 and named.isprintable() else ""


def _region_of(provider: str, zone: str) -> str:
    """us-east-1a is in us-east-1, us-central1-b in us-central1."""
    if provider == "aws":
        return zone[:-1] if zone[-1:].isalpha() and zone[-2:-1].isdigit() else ""
    return zone.rpartition("-")[0] if provider == "gcp" else ""


def _capacity(labels: Mapping[str, str]) -> tuple[tuple[str, str] | None, str]:
    for label, meanings in _CAPACITY_LABELS:
        value = word(labels.get(label))
        meaning = value and (meanings.get(value.lower()) or meanings.get("*"))
        if value and meaning:
            return (label, value), meaning
    return None, "on-demand"
