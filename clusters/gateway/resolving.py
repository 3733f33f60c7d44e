"""Names of API servers to judged addresses, without letting slow name servers stop anybody else.

A look-up is a thread that cannot be cancelled. So each cluster has at most one under way, clusters
that failed lately share a few threads of their own, and nobody waits longer than for a connect.
"""

from __future__ import annotations

import asyncio
import ipaddress
from concurrent.futures import Future, ThreadPoolExecutor

from clusters.gateway.connection import CONNECT_TIMEOUT, Connection
from clusters.gateway.errors import Unreachable
from fleetportal.kit.net import Endpoint

_healthy = ThreadPoolExecutor(16, "names")
_failing = ThreadPoolExecutor(4, "names-of-failing")


class Resolver:
    """One cluster's address."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._under_way: Future[Endpoint] | None = None
        self._numeric = _is_address(connection.host)

    async def endpoint(self, *, failing: bool) -> Endpoint:
        """The judged address. Raises AddressRefused, or Unreachable where there is none in time."""
        if self._numeric:  # no name server is asked
            return self._connection.resolve()
        if self._under_way is None or self._under_way.done():
            pool = _failing if failing else _healthy
            self._under_way = pool.submit(self._connection.resolve)
        found = asyncio.wrap_future(self._under_way)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await asyncio.shield(found)
        except TimeoutError as error:
            found.add_done_callback(_forget)
            raise Unreachable("The API server's name did not resolve in time.") from error


def _forget(found: asyncio.Future[Endpoint]) -> None:
    """Nobody waits any more; take the exception so that it is not reported as lost."""
    if not found.cancelled():
        found.exception()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
