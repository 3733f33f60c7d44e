"""Looks for a Prometheus among a cluster's services, by the labels of its usual installers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusters.engine.raw import mapping, mappings, text
from clusters.gateway import kinds
from clusters.gateway.stream import StreamClient
from clusters.gateway.typed import DICTS

SELECTORS = (
    "app.kubernetes.io/name=prometheus",  # kube-prometheus, the community's chart
    "app=kube-prometheus-stack-prometheus",
    "operated-prometheus=true",  # made by the operator itself
)
_PORTS = ("http-web", "web", "http", "http-prometheus")
_USUAL = 9090


async def prometheus_service(client: StreamClient) -> str:
    """ "namespace/name:port" of the first one; "" when there is none. Raises PortalError."""
    for selector in SELECTORS:
        listing = await client.list_objects(kinds.SERVICE, DICTS, selector=selector)
        found = sorted(filter(None, map(place_of, listing.items)))
        if found:
            return found[0]
    return ""


def place_of(service: Mapping[str, Any]) -> str:
    """Where its web port is; "" without one."""
    meta = mapping(service.get("metadata"))
    namespace, name = text(meta.get("namespace")), text(meta.get("name"))
    ports = list(mappings(mapping(service.get("spec")).get("ports")))
    numbers = {text(port.get("name")): port.get("port") for port in ports}
    port = next((numbers[known] for known in _PORTS if known in numbers), None)
    if port is None and _USUAL in numbers.values():
        port = _USUAL
    if not isinstance(port, int) or isinstance(port, bool) or not namespace or not name:
        return ""
    return f"{namespace}/{name}:{port}"
