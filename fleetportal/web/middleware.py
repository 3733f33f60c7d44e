"""What every response carries and what every request passes: content policy, login, principal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from rest_framework.views import APIView

from fleetportal.accounts.checks import declared_verb
from fleetportal.accounts.principal import Principal
from fleetportal.kit.errors import Forbidden, PortalError
from fleetportal.kit.htmx import is_htmx, redirect_to
from fleetportal.web.errors import error_page, holds_nul, refused

Next = Callable[[HttpRequest], HttpResponse]

# Scripts only from our own files, no eval, no framing. Plotly injects style rules, hence
# 'unsafe-inline' for styles on chart pages alone (they set `response.charts`).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)


LONGEST_QUERY = 16 << 10  # bytes: 64 topics of a page fit, no text that a database chokes on


def policy(get_response: Next) -> Next:
    """Set the content security policy, and keep pages of signed-in people out of shared caches."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        styles = " 'unsafe-inline'" if getattr(response, "charts", False) else ""
        response.headers.setdefault("Content-Security-Policy", POLICY.format(styles=styles))
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), microphone=(), geolocation=()"
        )
        if not request.path.startswith(settings.STATIC_URL):
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    return middleware


class guard:
    """Deny by default: only views that declare "public" answer without a signed-in person."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        query = request.META.get("QUERY_STRING", "")
        if "\x00" in request.path or "%00" in query:
            return holds_nul(request)
        if len(query) > LONGEST_QUERY:
            remedy = f"What follows the ? may have {LONGEST_QUERY:,} bytes."
            return refused(request, 414, "too-large", "This address is too long", remedy)
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        verb = declared_verb(view)
        if verb == "public" or is_api(view):  # the API checks in rest.auth.DeclaredVerb
            return None
        if not request.user.is_authenticated:
            return to_login(request)
        if any("\x00" in word for words in request.POST.lists() for word in words[1]):
            return holds_nul(request)
        principal = Principal(request.user)
        request.principal = principal  # type: ignore[attr-defined]
        if verb is None or not principal.may(verb):
            return error_page(request, Forbidden("Your role does not allow this."))
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return error_page(request, error) if isinstance(error, PortalError) else None


def is_api(view: Any) -> bool:
    """Whether the view is one of REST framework's: its errors and access have their own way."""
    own = getattr(view, "cls", None)
    return isinstance(own, type) and issubclass(own, APIView)


def to_login(request: HttpRequest) -> HttpResponse:
    """To the login and back. A part that htmx asks for sends the whole page there, not itself."""
    login = resolve_url(settings.LOGIN_URL)
    if not is_htmx(request):
        return redirect_to_login(_back_to(request), login)
    page = urlsplit(request.htmx.current_url_abs_path or "")  # type: ignore[attr-defined]
    query = urlencode({"next": f"{page.path}?{page.query}" if page.query else page.path})
    return redirect_to(request, f"{login}?{query}")


def _back_to(request: HttpRequest) -> str:
    """Only a page can be gone back to; after a form it would answer 405."""
    return request.get_full_path() if request.method == "GET" else ""
