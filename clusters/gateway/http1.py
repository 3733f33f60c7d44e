"""A small HTTP/1.1 client for asyncio: one request at a time on one TLS connection.

It exists because the collector holds a watch per cluster and kind: a thread or a full client for
each would cost too much. Heads, chunk sizes and bodies are bounded; nothing is decompressed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

from clusters.gateway.connection import BYTE_CAP, CONNECT_TIMEOUT, READ_TIMEOUT, Connection
from clusters.gateway.errors import Answer, ClusterFailure, Garbage, TlsFailed, Unreachable, clean
from fleetportal.kit.net import Endpoint

_PIECE = 1 << 16
_BUFFER = 1 << 18  # bytes that may wait to be read
_MAX_LINE = 1 << 13  # of a head or a chunk size
_MAX_HEADERS = 100


class Exchange:
    """One connection. `get` sends a request; its body must be read to the end before the next."""

    def __init__(
        self, head: str, prefix: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._head = head
        self._prefix = prefix  # of every path
        self._reader = reader
        self._writer = writer
        self.reusable = False  # after a body that was read to its end
        self.stale = False  # the server had closed it before our request came

    @classmethod
    async def open(
        cls, connection: Connection, found: Endpoint, context: ssl.SSLContext
    ) -> Exchange:
        """Connect to the judged address. Raises Unreachable or TlsFailed."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_connection(
                    found.ip,
                    found.port,
                    ssl=context,
                    server_hostname=connection.tls_name,
                    limit=_BUFFER,
                )
        except (OSError, TimeoutError) as error:
            raise failure_of(error) from error
        fields = "".join(f"{k}: {v}\r\n" for k, v in connection.headers().items())
        return cls(f"{fields}\r\n", found.path, reader, writer)

    async def get(self, path: str) -> Answer:
        """Send a GET and read the head of its answer; the body is left to `pieces`."""
        self.reusable = False
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                status = _status_of(await self._first_line(path))
                return Answer(status, await self._headers(), b"")
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise failure_of(error) from error

    async def _first_line(self, path: str) -> bytes:
        try:
            request = f"GET {self._prefix}{path} HTTP/1.1\r\n{self._head}"
            self._writer.write(request.encode("ascii"))
            await self._writer.drain()
            return await self._line()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.stale = True
            raise

    async def pieces(self, answer: Answer, *, silence: float) -> AsyncIterator[bytes]:
        """The body as it comes; ends with Unreachable after `silence` seconds without a byte."""
        try:
            if _is_chunked(answer):
                while size := _size_of(await _within(self._line(), silence)):
                    async for piece in self._exactly(size, silence):
                        yield piece
                    await _within(self._line(), silence)
                await _within(self._line(), silence)  # no trailers are used
                self.reusable = True
            else:
                async for piece in self._plain(answer, silence):
                    yield piece
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise failure_of(error) from error

    async def body(self, answer: Answer, *, deadline: float, cap: int = BYTE_CAP) -> bytes:
        """The whole body, at most `cap` bytes, within `deadline` seconds."""
        try:
            async with asyncio.timeout(deadline):
                if _is_chunked(answer):
                    return await self._chunks(cap)
                length = _length_of(answer, cap)
                if length is None:
                    return await self._rest(cap)
                body = await self._reader.readexactly(length)
                self.reusable = _is_kept(answer)
                return body
        except TimeoutError as error:
            raise Unreachable("The API server's answer did not end in time.") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise failure_of(error) from error

    async def _chunks(self, cap: int) -> bytes:
        pieces, left = [], cap
        while size := _size_of(await self._line()):
            left -= size
            if left < 0:
                raise _too_large(cap)
            pieces.append(await self._reader.readexactly(size))
            await self._line()
        await self._line()  # no trailers are used
        self.reusable = True
        return b"".join(pieces)

    async def _rest(self, cap: int) -> bytes:
        data = bytearray()
        while piece := await self._reader.read(_PIECE):
            data += piece
            if len(data) > cap:
                raise _too_large(cap)
        return bytes(data)

    def close(self) -> None:
        """Cut the connection without a farewell: the other side may be gone."""
        self.reusable = False
        with suppress(Exception):
            self._writer.transport.abort()

    async def _line(self) -> bytes:
        try:
            line = await self._reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError as error:
            raise Garbage("The API server sent a line without an end.") from error
        if len(line) > _MAX_LINE:
            raise Garbage("The API server sent a line that is too long.")
        return line[:-2]

    async def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while line := await self._line():
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or len(headers) >= _MAX_HEADERS:
                raise Garbage("The API server sent headers that cannot be read.")
            headers[name.strip().lower()] = value.strip()
        return headers

    async def _exactly(self, size: int, silence: float) -> AsyncIterator[bytes]:
        while size:
            piece = await _within(self._reader.read(min(size, _PIECE)), silence)
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            size -= len(piece)
            yield piece

    async def _plain(self, answer: Answer, silence: float) -> AsyncIterator[bytes]:
        length = _length_of(answer, BYTE_CAP)
        if length is not None:
            async for piece in self._exactly(length, silence):
                yield piece
            self.reusable = _is_kept(answer)
            return
        while piece := await _within(self._reader.read(_PIECE), silence):
            yield piece


async def _within(reading: Coroutine[Any, Any, bytes], silence: float) -> bytes:
    async with asyncio.timeout(silence):
        return await reading


def _status_of(line: bytes) -> int:
    parts = line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise Garbage("The server does not speak HTTP/1.1.")
    return int(parts[1][:3])


def _is_chunked(answer: Answer) -> bool:
    return "chunked" in answer.headers.get("transfer-encoding", "").lower()


def _is_kept(answer: Answer) -> bool:
    """Does the connection stay open after this answer?"""
    return answer.headers.get("connection", "").lower() != "close"


def _size_of(line: bytes) -> int:
    digits = line.split(b";", 1)[0].strip()
    if not 0 < len(digits) <= 8 or not all(c in b"0123456789abcdefABCDEF" for c in digits):
        raise Garbage("The API server sent a chunk without a size.")
    return int(digits, 16)


def _length_of(answer: Answer, cap: int) -> int | None:
    """The announced length of the body; None: it ends with the connection."""
    length = answer.headers.get("content-length", "")
    if not length:
        return None
    if not length.isascii() or not length.isdigit() or len(length) > 12:
        raise Garbage("The API server announced a body that cannot be read.")
    if int(length) > cap:
        raise _too_large(cap)
    return int(length)


def _too_large(cap: int) -> Garbage:
    return Garbage(f"The answer is larger than {cap >> 20} MiB.")


def failure_of(error: BaseException) -> ClusterFailure:
    """Our error for one of asyncio, ssl or the socket."""
    if isinstance(error, ssl.SSLError):
        return TlsFailed(f"TLS failed: {clean(str(error))}")
    if isinstance(error, TimeoutError):
        return Unreachable("No answer from the API server in time.")
    return Unreachable("The connection to the API server broke or was refused.")
