"""Requests and replies as plain values, and how they cross ASGI."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
import yaml

from fleetsim.access import User
from fleetsim.errors import ApiError

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
JSON = "application/json"


_JSON_ONLY = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json, application/yaml"
)


class Gone(Exception):
    """The client went away."""


@dataclass(slots=True)
class Request:
    """One HTTP request. `user` and `body` come on the way; `document` is the parsed body."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    receive: Receive
    send: Send
    scope: dict[str, Any]
    body: bytes = b""
    document: Any = None
    user: User | None = None

    @property
    def dry_run(self) -> bool:
        """Whether dryRun=All was asked for. Raises ApiError 422 for another value."""
        value = self.query.get("dryRun", "")
        if value not in ("", "All"):
            raise ApiError(422, f'dryRun: Unsupported value: "{value}": supported values: "All"')
        return value == "All"

    def truth(self, name: str) -> bool:
        """A boolean query parameter."""
        return self.query.get(name, "").lower() in ("1", "true")

    def number(self, name: str, default: float) -> float:
        """A numeric query parameter, zero or more. Raises ApiError 400."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not text.isdigit():
            raise ApiError(400, f'{name}: Invalid value: "{text}": must be a number, zero or more')
        return float(text)

    @property
    def content_type(self) -> str:
        """The media type without parameters."""
        return self.headers.get("content-type", JSON).partition(";")[0].strip()

    def parse(self) -> Any:
        """The body as JSON or YAML (empty is None). Raises ApiError 400."""
        if self.document is None and self.body:
            if "protobuf" in self.content_type or "cbor" in self.content_type:
                raise ApiError(415, _JSON_ONLY)
            self.document = _parse(self.body, "yaml" in self.content_type)
        return self.document


def _parse(body: bytes, yaml_allowed: bool) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not yaml_allowed:
            raise ApiError(400, f"error decoding the body: {error}") from error
    try:
        return yaml.safe_load(body)
    except yaml.YAMLError as error:
        raise ApiError(400, f"error decoding YAML: {error}") from error


@dataclass(slots=True)
class Reply:
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()  # instead of a body: streamed
    pause: float = 0.0  # seconds between pieces


def json_reply(value: Any, status: int = 200, warnings: list[str] | None = None) -> Reply:
    """A JSON answer, with Warning headers where there are warnings."""
    reply = Reply(status, orjson.dumps(value))
    if warnings:
        reply.headers["Warning"] = ", ".join(f'299 - "{_quoted(text)}"' for text in warnings)
    return reply


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def error_reply(error: ApiError) -> Reply:
    """The Status body of an error."""
    reply = json_reply(error.status(), error.code)
    reply.headers.update(error.headers)
    return reply


def request_of(scope: dict[str, Any], receive: Receive, send: Send) -> Request:
    """A Request from an ASGI scope (the body is not read yet)."""
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    return Request(scope["method"], scope["path"], query, headers, receive, send, scope)


async def read_body(request: Request) -> None:
    """Read the whole body. Raises Gone when the client leaves."""
    chunks = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    request.body = b"".join(chunks)


async def wait_gone(request: Request) -> None:
    """Return when the client has closed its side."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def begin(request: Request, reply: Reply) -> None:
    """Send status and headers (Content-Length only for a whole body)."""
    headers = [(b"content-type", reply.content_type.encode())]
    if reply.body:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    headers += [(key.lower().encode(), value.encode()) for key, value in reply.headers.items()]
    await request.send({"type": "http.response.start", "status": reply.status, "headers": headers})


async def send_reply(request: Request, reply: Reply) -> None:
    """Send a whole answer, or its pieces one after the other as long as the client stays."""
    await begin(request, reply)
    if not reply.pieces:
        await request.send({"type": "http.response.body", "body": reply.body})
        return
    gone = asyncio.ensure_future(wait_gone(request))
    try:
        for piece in reply.pieces:
            await request.send({"type": "http.response.body", "body": piece, "more_body": True})
            if (await asyncio.wait({gone}, timeout=reply.pause))[0]:
                return
        await request.send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


def cut(request: Request) -> None:
    """Drop the TCP connection without an answer."""
    transport = request.scope.get("fleetsim.transport")
    if transport is not None:
        transport.abort()
