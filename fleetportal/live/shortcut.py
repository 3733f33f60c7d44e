"""Parts of pages that are kept already (kit.fragments), answered without a thread or a query.

Only to pages whose own stream is open in this process: their access is asked every few seconds, so
that what is answered here is never further behind than the stream is. Everybody else, and every
part that is not kept, goes to Django. Of those who want the same part at once, one goes there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from django.conf import settings
from django.utils.encoding import escape_uri_path, iri_to_uri

from fleetportal.kit import meters
from fleetportal.kit.fragments import REUSES, Kept, Route, shelf
from fleetportal.live.hub import Hub, hub
from fleetportal.live.stream import App, Message, Receive, Scope, Send, session_of

WAIT = 10.0  # seconds for the one that renders
HEADERS = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"HX-Request, Cookie"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", settings.SECURE_REFERRER_POLICY.encode()),
]


def with_shortcut(django: App, to: Hub = hub) -> App:
    """`django` with what is kept ahead of it."""
    going: dict[Hashable, asyncio.Future[None]] = {}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        found = await _wanted(scope, to)
        if found is None:
            return await django(scope, receive, send)
        route, full = found
        kept = shelf.peek(full)
        if kept is None and full not in going:
            return await _render(scope, receive, send, full)
        if kept is None:
            await asyncio.wait([going[full]], timeout=WAIT)
            kept = shelf.peek(full)
        if kept is None:
            return await django(scope, receive, send)
        meters.add(REUSES, fragment=route.key)
        return await _answer(kept, scope, send)

    async def _render(scope: Scope, receive: Receive, send: Send, full: Hashable) -> None:
        """The others wait until it is rendered, not until this one has taken it."""
        rendered = going[full] = asyncio.get_running_loop().create_future()

        def over() -> None:
            if going.get(full) is rendered:
                going.pop(full).set_result(None)

        async def passing_on(message: Message) -> None:
            over()
            await send(message)

        try:
            await django(scope, receive, passing_on)
        finally:
            over()

    return application


async def _wanted(scope: Scope, to: Hub) -> tuple[Route, Hashable] | None:
    """The part that this asks for, and the key under which it may be kept for its reader."""
    if scope["type"] != "http" or scope["method"] != "GET" or not to.clients:
        return None
    headers = dict(scope["headers"])
    if headers.get(b"hx-request") != b"true" or b"hx-boosted" in headers:
        return None
    url = _url(scope)
    route = shelf.routes.get(url)
    ticket = to.proven(session_of(scope)) if route else None
    if route is None or ticket is None:
        return None
    version = await to.version(route.topics)
    if version is None:
        return None
    return route, route.full(url, ticket.access, ticket.user, version)


def _url(scope: Scope) -> str:
    """As Django's get_full_path has it."""
    path = escape_uri_path(scope["path"])
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{iri_to_uri(query)}" if query else path


async def _answer(kept: Kept, scope: Scope, send: Send) -> None:
    etag = kept.etag.encode()
    same = dict(scope["headers"]).get(b"if-none-match") == etag and kept.status == 200
    body = b"" if same else kept.body
    kind = [] if same else [(b"content-type", kept.kind.encode())]
    length = [] if same else [(b"content-length", str(len(body)).encode())]
    headers = [*HEADERS, (b"etag", etag), *kind, *length]
    status = 304 if same else kept.status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
