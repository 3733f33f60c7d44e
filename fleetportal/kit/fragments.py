"""Parts of pages, rendered once for each change and kind of reader.

What is kept is keyed by the versions of its topics (kit.news) and by what decides who sees what,
so that five hundred viewers of one change cost one render. A part that took a CSRF token is never
kept; one that speaks of its reader must be `personal`. Without Redis nothing is kept.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse

from fleetportal.kit import meters, news
from fleetportal.kit.htmx import is_htmx

FRESH = 10.0  # seconds: what depends on the clock alone, and lost news, are caught up with then
MOST = 256  # parts
MOST_BYTES = 64 << 20
WAIT = 5.0  # seconds for another request's render of the same part

RENDERS = "fleetportal_fragment_renders_total"
REUSES = "fleetportal_fragment_reuses_total"
meters.describe(RENDERS, "Parts of pages that were rendered.")
meters.describe(REUSES, "Parts of pages that were answered from an earlier render.")


@dataclass(frozen=True, slots=True)
class Kept:
    body: bytes
    status: int
    kind: str
    etag: str
    until: float  # time.monotonic()

    def response(self) -> HttpResponse:
        response = HttpResponse(self.body, status=self.status, content_type=self.kind)
        response.headers["ETag"] = self.etag
        response.headers["Vary"] = "HX-Request, Cookie"
        return response


@dataclass(frozen=True, slots=True)
class Route:
    """What a URL shows to htmx: enough to find it without asking its view."""

    key: str
    topics: tuple[str, ...]
    personal: bool

    def full(self, url: str, access: str, user: int, version: str) -> Hashable:
        """`access`: Principal.permission_class."""
        return (self.key, url, access, user if self.personal else None, version)


@dataclass
class Shelf:
    """What is kept in this process, the longest unused first out; one render at a time of a key."""

    kept: OrderedDict[Hashable, Kept] = field(default_factory=OrderedDict)
    routes: OrderedDict[str, Route] = field(default_factory=OrderedDict)  # URL -> its part
    under_way: dict[Hashable, Future[Kept | None]] = field(default_factory=dict)
    size: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: Hashable) -> tuple[Kept | None, Future[Kept | None] | None, bool]:
        """(kept, whom to wait for, whether the caller renders)."""
        with self.lock:
            found = self.kept.get(key)
            if found is not None and found.until > time.monotonic():
                self.kept.move_to_end(key)
                return found, None, False
            waiting = self.under_way.get(key)
            if waiting is not None:
                return None, waiting, False
            self.under_way[key] = Future()
            return None, None, True

    def peek(self, key: Hashable) -> Kept | None:
        """What is kept, without a promise to render it where it is not."""
        with self.lock:
            found = self.kept.get(key)
            return found if found is not None and found.until > time.monotonic() else None

    def remember(self, url: str, route: Route) -> None:
        with self.lock:
            self.routes[url] = route
            self.routes.move_to_end(url)
            while len(self.routes) > MOST:
                self.routes.popitem(last=False)

    def put(self, key: Hashable, made: Kept | None) -> None:
        """The end of a render; None where it may not be kept or failed."""
        with self.lock:
            future = self.under_way.pop(key)
            if made is not None:
                self._drop(key)
                self.kept[key] = made
                self.size += len(made.body)
            while self.kept and (len(self.kept) > MOST or self.size > MOST_BYTES):
                self._drop(next(iter(self.kept)))
        future.set_result(made)

    def clear(self) -> None:
        with self.lock:
            self.kept.clear()
            self.routes.clear()
            self.size = 0

    def _drop(self, key: Hashable) -> None:
        old = self.kept.pop(key, None)
        if old is not None:
            self.size -= len(old.body)


shelf = Shelf()


def fragment(
    request: HttpRequest,
    key: str,
    topics: Sequence[str],
    render: Callable[[], HttpResponse],
    *,
    personal: bool = False,
) -> HttpResponse:
    """`render()`, or what it gave for the same URL, versions of `topics` and kind of reader.

    Whole pages are always rendered: they carry a token and their reader's name.
    """
    principal: Any = getattr(request, "principal", None)
    if not is_htmx(request) or principal is None:
        return render()
    version = news.versions(topics)
    if version is None:
        return _rendered(key, render)
    url, route = request.get_full_path(), Route(key, tuple(topics), personal)
    shelf.remember(url, route)
    full = route.full(url, principal.permission_class, principal.user.pk, version)
    kept, other, mine = shelf.take(full)
    if other is not None:
        kept = _wait(other)
    if kept is not None:
        meters.add(REUSES, fragment=key)
        return kept.response()
    return _render_and_keep(request, key, full, render) if mine else _rendered(key, render)


def _render_and_keep(
    request: HttpRequest, key: str, full: Hashable, render: Callable[[], HttpResponse]
) -> HttpResponse:
    made: Kept | None = None
    try:
        response = _rendered(key, render)
        if response.status_code in (200, 286) and not _has_token(request):
            made = _kept(response)
            response = made.response()
        return response
    finally:
        shelf.put(full, made)


def _rendered(key: str, render: Callable[[], HttpResponse]) -> HttpResponse:
    meters.add(RENDERS, fragment=key)
    return render()


def _kept(response: HttpResponse) -> Kept:
    body = bytes(response.content)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    kind = response.headers["Content-Type"]
    return Kept(body, response.status_code, kind, etag, time.monotonic() + FRESH)


def _wait(other: Future[Kept | None]) -> Kept | None:
    try:
        return other.result(WAIT)
    except Late:
        return None


def _has_token(request: HttpRequest) -> bool:
    """Whether rendering asked for a CSRF token (django.middleware.csrf.get_token leaves this)."""
    return bool(request.META.get("CSRF_COOKIE_NEEDS_UPDATE"))
