"""Questions to a Prometheus: through the API server's service proxy, or at an address of its own.

An external address is judged at every connect as every address that people give
(fleetportal.kit.net), TLS is verified and no redirect is followed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from clusters.engine.telemetry.prometheus import Answer, read_answer
from clusters.gateway import Connection, kinds
from clusters.gateway.connection import BYTE_CAP
from clusters.gateway.errors import Forbidden, NotFound, Unreachable
from clusters.gateway.stream import StreamClient
from clusters.selectors.metrics import MetricsSettings
from clusters.telemetry.roads import LONGEST, reader
from fleetportal.kit.errors import PortalError

LONGEST_QUERY = 16_384  # characters
FORBIDDEN = (
    "The cluster's Prometheus may not be read: the portal lacks get on services/proxy in {where}. "
    "Bind fleetportal-observe there, or read metrics directly."
)
ABSENT = "There is no Prometheus at {where}. Name its service as namespace/name:port."


@dataclass(frozen=True, slots=True)
class PublicConnection(Connection):
    """An address that is no API server: without a CA of its own it is verified like any site's."""

    def ssl_context(self) -> ssl.SSLContext:
        if self.ca_pem:
            return Connection.ssl_context(self)
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class Prometheus:
    """Instant and range queries, one at a time. `path` of an API method -> path to ask for."""

    def __init__(self, client: StreamClient, route: Callable[[str], str], where: str) -> None:
        self._client = client
        self._route = route
        self._where = where

    async def query(self, text: str, *, at: float, deadline: float) -> Answer:
        """A vector at `at` (unix seconds). Raises PortalError when nothing answers."""
        return await self._ask("/api/v1/query", deadline, query=text, time=f"{at:.3f}")

    async def query_range(
        self, text: str, *, start: float, end: float, step: int, deadline: float
    ) -> Answer:
        """A matrix, both ends included. Raises PortalError when nothing answers."""
        span = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": str(step)}
        return await self._ask("/api/v1/query_range", deadline, query=text, **span)

    def close(self) -> None:
        self._client.close()

    async def _ask(self, method: str, deadline: float, **parameters: str) -> Answer:
        if len(parameters["query"]) > LONGEST_QUERY:
            return Answer(problem="The matchers are too long.")
        path = kinds.with_query(self._route(method), **parameters)
        try:
            async with asyncio.timeout(deadline):
                found = await self._client.get_raw(path, deadline=deadline, cap=BYTE_CAP)
        except TimeoutError as error:
            raise Unreachable(f"The Prometheus did not answer in {deadline:.0f} s.") from error
        except Forbidden as error:
            raise Forbidden(FORBIDDEN.format(where=self._where)[:LONGEST]) from error
        except NotFound as error:
            raise NotFound(ABSENT.format(where=self._where)[:LONGEST]) from error
        return await asyncio.get_running_loop().run_in_executor(reader, read_answer, found.body)


def prometheus_of(metrics: MetricsSettings, cluster: StreamClient, token: str) -> Prometheus | None:
    """Where the settings say that a Prometheus is; None when they do not. Raises Invalid."""
    if metrics.url:
        connection = PublicConnection(
            cluster_id=cluster.connection.cluster_id,
            credential_version=cluster.connection.credential_version,
            server=metrics.url,
            ca_pem=metrics.ca_pem,
            token=token,
            allow_loopback=cluster.connection.allow_loopback,
        )
        return Prometheus(StreamClient(connection), lambda path: path, metrics.url)
    if metrics.service or metrics.found:
        namespace, name, port = metrics.place

        def through(path: str) -> str:
            return kinds.service_proxy_path(namespace, name, port, path)

        return Prometheus(cluster, through, f"{namespace}/{name}:{port}")
    return None


def words(error: PortalError) -> str:
    return error.message[:LONGEST]
