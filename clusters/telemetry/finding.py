"""Looks for a Prometheus among a cluster's services, by the labels of its usual installers.

One may be installed, moved or removed at any time. Looking again costs a cluster one small request
an hour.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from clusters.engine.raw import mapping, mappings, text
from clusters.gateway import kinds
from clusters.gateway.decoding import json_object
from clusters.gateway.errors import NotFound
from clusters.gateway.stream import StreamClient
from clusters.gateway.typed import DICTS
from fleetportal.kit.errors import PortalError

log = logging.getLogger(__name__)

AGAIN = 3600.0  # seconds between two looks
FAILED = 1 / 12  # of that, after a look that failed

SELECTORS = (
    "app.kubernetes.io/name=prometheus",  # kube-prometheus, the community's chart
    "app=kube-prometheus-stack-prometheus",
    "operated-prometheus=true",  # made by the operator itself
)
_PORTS = ("http-web", "web", "http", "http-prometheus")
_USUAL = 9090


class Lookout:
    """Where the Prometheus of each cluster is, for as long as a collector runs.

    The first look at a cluster asks for the labels of every installer, later ones for those of one
    installer in turn, or for the service that was found.
    """

    def __init__(self, again: float = AGAIN) -> None:
        self._again = again
        self._due: dict[UUID, float] = {}  # by the monotonic clock
        self._looks: dict[UUID, int] = {}

    async def run(
        self,
        cluster: UUID,
        client: StreamClient,
        found: str,
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        """Until cancelled. `tell` hears where it is now if that is not `found`."""
        while True:
            await asyncio.sleep(self._due.get(cluster, 0.0) - time.monotonic())
            pause = self._again * random.uniform(0.8, 1.2)  # noqa: S311 - not all at once
            self._due[cluster] = time.monotonic() + pause
            try:
                service = await self._look(cluster, client, found)
            except PortalError as error:
                self._due[cluster] -= pause * (1 - FAILED)
                reason = {"cluster": str(cluster), "reason": error.message}
                log.info("telemetry.no_search", extra=reason)
                continue
            if service != found:
                await tell(service)

    async def _look(self, cluster: UUID, client: StreamClient, found: str) -> str:
        if found:
            return await _there(client, found) or await prometheus_service(client)
        number = self._looks.get(cluster, 0)
        turn = number % len(SELECTORS)
        asked = SELECTORS[turn : turn + 1] if number else SELECTORS
        service = await prometheus_service(client, asked)
        self._looks[cluster] = number + 1
        return service


async def _there(client: StreamClient, found: str) -> str:
    """Where its web port is now; "" when the service is gone. Raises PortalError."""
    namespace, _, rest = found.partition("/")
    try:
        answer = await client.get_raw(kinds.SERVICE.object_path(namespace, rest.rpartition(":")[0]))
    except NotFound:
        return ""
    return place_of(json_object(answer))


async def prometheus_service(client: StreamClient, selectors: Sequence[str] = SELECTORS) -> str:
    """ "namespace/name:port" of the first one; "" when there is none. Raises PortalError."""
    for selector in selectors:
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
