"""Who calls the API: a bearer token, or the browser's session with its CSRF token."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request

from fleetportal.accounts.checks import declared_verb
from fleetportal.accounts.limits import login_try
from fleetportal.accounts.principal import Principal
from fleetportal.accounts.tokens import token_principal

if TYPE_CHECKING:
    from rest_framework.views import APIView  # imports this module by its settings

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


class PasswordAuthentication(authentication.BaseAuthentication):
    """HTTP Basic, within the limits of the login form. Only for making a token."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise exceptions.AuthenticationFailed("This is no HTTP Basic authorization.") from error
        user = login_try(request=request._request, username=username, password=password)
        if user is None:
            raise exceptions.AuthenticationFailed("User name or password is wrong.")
        return user, Principal(user, via="password")

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="fleetportal"'


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
    """The verb of the action that runs, else the view's own."""
    verbs: dict[str, str] = getattr(view, "verbs", {})
    action = getattr(view, "action", None) or ""
    return verbs.get(action) or declared_verb(type(view))


def principal_of(request: Request | HttpRequest) -> Principal:
    """The principal of an API call or a page."""
    found = getattr(request, "auth", None) or getattr(request, "principal", None)
    if not isinstance(found, Principal):
        raise exceptions.NotAuthenticated
    return found
