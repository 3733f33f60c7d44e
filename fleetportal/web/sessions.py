"""How long a session lasts: 12 hours in all, one hour without a click.

The time of the last click travels in a signed cookie bound to the session, so that looking at a
page writes nothing to the database. Pages that refresh themselves do not count as clicks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.core import signing
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from fleetportal.kit.htmx import is_htmx
from fleetportal.web.errors import holds_nul

Next = Callable[[HttpRequest], HttpResponse]

ABSOLUTE = 12 * 3600
IDLE = 3600
REFRESH = 60  # seconds before the cookie is set anew
SINCE = "since"
COOKIE = "__Host-seen" if settings.HTTPS else f"{settings.SESSION_COOKIE_NAME}_seen"


@receiver(user_logged_in)
def remember_login(request: HttpRequest, **_: Any) -> None:
    request.session[SINCE] = int(time.time())


def limits(get_response: Next) -> Next:
    """End sessions that are too old; note clicks."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "\x00" in (request.session.session_key or ""):  # a cookie may write it as \000
            return holds_nul(request)
        since = request.session.get(SINCE) if request.session.session_key else None
        if since is None:
            return get_response(request)
        now = time.time()
        seen = max(since, _seen(request))
        if now - since > ABSOLUTE or now - seen > IDLE:
            logout(request)
            return get_response(request)
        response = get_response(request)
        if now - seen > REFRESH and not is_htmx(request):
            _note(request, response)
        return response

    return middleware


def _seen(request: HttpRequest) -> float:
    """When the last click was, or 0."""
    try:
        key, _, at = signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE).partition("@")
    except signing.BadSignature:
        return 0.0
    return float(at) if key == request.session.session_key else 0.0


def _note(request: HttpRequest, response: HttpResponse) -> None:
    value = signing.dumps(f"{request.session.session_key}@{int(time.time())}", salt=COOKIE)
    response.set_cookie(
        COOKIE,
        value,
        max_age=ABSOLUTE,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )
