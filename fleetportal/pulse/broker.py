"""Redis as the broker, with the error that kombu's callers expect from a connection that is gone.

When the connection is lost, kombu 5.7 still puts messages back and acknowledges late ones through
channels that were closed. Asked for their server, these fail with an AttributeError, which ends
the worker in the very moment in which it has to go on alone. A connection error is handled: what
was not acknowledged comes back by the visibility timeout, and sooner by the ticker.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as Lost


class Channel(kombu_redis.Channel):
    def _connparams(self, asynchronous: bool = False) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise Lost("This channel was closed with its connection.")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]  # untyped


class Transport(kombu_redis.Transport):
    Channel = Channel
