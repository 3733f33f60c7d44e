"""The OpenAPI schema: how to authenticate, and the problem document that every endpoint may answer.

Public: it describes the code, which is public, and holds no data.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView

from fleetportal.accounts.principal import declares

TEXT = {"type": "string"}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem document; `type` is stable, the words are not.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "remedy": TEXT,
        "id": {**TEXT, "description": "Only with status 500: what to quote to the operator."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": TEXT, "message": TEXT, "remedy": TEXT},
            },
        },
    },
}
DEFAULT = {
    "description": "Anything else is a problem document.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 200},
    "description": "The same write with the same key happens once (24 hours).",
}
METHODS = ("get", "post", "put", "patch", "delete")


def with_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Post-processing: add the problem to every operation and the key to every write."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    for path in result["paths"].values():
        for method in METHODS:
            operation = path.get(method)
            if operation is None:
                continue
            operation["responses"].setdefault("default", DEFAULT)
            if method != "get":
                operation.setdefault("parameters", []).append(IDEMPOTENCY)
    return result


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "fleetportal.rest.auth.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "fleetportal.rest.auth.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        from django.conf import settings

        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class PasswordScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "fleetportal.rest.auth.PasswordAuthentication"
    name = "password"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "basic"}


@declares("public")
class Schema(SpectacularAPIView):
    """The schema as YAML, or as JSON when asked for (Accept, or `?format=json`)."""

    authentication_classes = []
