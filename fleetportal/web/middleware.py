"""What every response carries and what every request passes: content policy, login, principal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url

from fleetportal.accounts.checks import declared_verb
from fleetportal.accounts.principal import Principal
from fleetportal.kit.errors import Forbidden, PortalError
from fleetportal.web.errors import error_page

Next = Callable[[HttpRequest], HttpResponse]

# Scripts only from our own files, no eval, no framing. Plotly injects style rules, hence
# 'unsafe-inline' for styles on chart pages alone (they set `response.charts`).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)


def policy(get_response: Next) -> Next:
    """Set the content security policy, and keep pages of signed-in people out of shared caches."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        styles = " 'unsafe-inline'" if getattr(response, "charts", False) else ""
        response.headers.setdefault("Content-Security-Policy", POLICY.format(styles=styles))
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        if not request.path.startswith(settings.STATIC_URL):
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    return middleware


class guard:  # noqa: N801 - used like the function middlewares beside it
    """Deny by default: only views that declare "public" answer without a signed-in person."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        verb = declared_verb(view)
        if verb == "public" or hasattr(view, "cls"):  # REST views check in their own permission class
            return None
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), resolve_url(settings.LOGIN_URL))
        principal = Principal(request.user)
        request.principal = principal  # type: ignore[attr-defined]
        if verb is None or not principal.may(verb):
            return error_page(request, Forbidden("Your role does not allow this."))
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return error_page(request, error) if isinstance(error, PortalError) else None
