"""Who calls the API: a bearer token, or the browser's session with its CSRF token."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request
from rest_framework.views import APIView

from fleetportal.accounts.checks import declared_verb
from fleetportal.accounts.principal import Principal
from fleetportal.accounts.tokens import token_principal

WRITES = {"POST", "PUT", "PATCH", "DELETE"}


class BearerAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer fp_...`; request.auth is then the principal."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        principal = token_principal(text.strip())
        if principal is None:
            raise exceptions.AuthenticationFailed("This token is unknown, expired or revoked.")
        return principal.user, principal

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="fleetportal"'


class SessionAuthentication(authentication.SessionAuthentication):
    """The signed-in browser. Unsafe methods need the CSRF token."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        found = super().authenticate(request)
        return None if found is None else (found[0], Principal(found[0]))


class DeclaredVerb(permissions.BasePermission):
    """Deny unless the view declares a verb and the principal has it somewhere.

    A view set may declare per action: `verbs = {"create": "plan.create"}`; the rest falls back to
    its class's own. The service behind still asks `require` about the object.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        verb = verb_of(view)
        if verb == "public":
            return True
        principal = request.auth
        if not isinstance(principal, Principal) or verb is None:
            return False
        return principal.may(verb)


def verb_of(view: APIView) -> str | None:
    verbs: dict[str, str] = getattr(view, "verbs", {})
    action = getattr(view, "action", None) or ""
    return verbs.get(action) or declared_verb(view) or declared_verb(type(view))


def principal_of(request: Request | HttpRequest) -> Principal:
    """The principal of an API call or a page."""
    found = getattr(request, "auth", None) or getattr(request, "principal", None)
    if not isinstance(found, Principal):
        raise exceptions.NotAuthenticated
    return found
