"""Every API error is an RFC 9457 problem document with a stable `type`."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from fleetportal.kit.errors import Invalid, PortalError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

TYPES = {
    400: "bad-request",
    401: "not-authenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "too-large",
    415: "unsupported-media-type",
    429: "too-many-requests",
}


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: no error leaves the API as anything but a problem document."""
    set_rollback()
    if isinstance(error, PortalError):
        return portal_problem(error)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, DjangoPermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, exceptions.ValidationError):
        rows = list(_flatten(error.detail))
        return problem(422, type_=Invalid.type, title=Invalid.title, errors=rows)
    if isinstance(error, exceptions.APIException):
        return _framework_problem(error)
    return _unexpected(error, context)


def _framework_problem(error: exceptions.APIException) -> Response:
    status = error.status_code
    header = getattr(error, "auth_header", "")
    return problem(
        status,
        type_=TYPES.get(status, "error"),
        title=HTTPStatus(status).phrase,
        detail=str(error.detail),
        headers={"WWW-Authenticate": header} if header else {},
    )


def _unexpected(error: Exception, context: dict[str, Any]) -> Response:
    """A fault of ours: the log has the story, the answer only its id."""
    incident = secrets.token_hex(8)
    path = context["request"].path if context.get("request") else ""
    log.error("rest.failed", extra={"incident": incident, "path": path}, exc_info=error)
    return problem(500, type_="internal", title="Something went wrong", incident=incident)


def portal_problem(error: PortalError) -> Response:
    errors = None
    if isinstance(error, Invalid):
        errors = [
            {"field": p.field, "message": p.message, "remedy": p.remedy} for p in error.problems
        ]
    return problem(
        error.status,
        type_=error.type,
        title=error.title,
        detail=error.message,
        remedy=error.remedy,
        errors=errors,
        headers={"Retry-After": str(wait)} if (wait := getattr(error, "retry_after", 0)) else {},
    )


def problem(
    status: int,
    *,
    type_: str,
    title: str,
    detail: str = "",
    remedy: str = "",
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
    incident: str = "",
) -> Response:
    """A problem document. `errors` names the fields: [{field, message, remedy}]."""
    body: dict[str, Any] = {"type": type_, "title": title, "status": status}
    if detail:
        body["detail"] = detail
    if remedy:
        body["remedy"] = remedy
    if errors is not None:
        body["errors"] = errors
    if incident:
        body["id"] = incident
    return Response(body, status=status, headers=headers, content_type=MEDIA_TYPE)


def _flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """DRF's nested errors as rows with a dotted field path."""
    if isinstance(detail, dict):
        for key, value in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            yield from _flatten(value, ".".join(filter(None, (path, name))))
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        for index, item in enumerate(detail):
            yield from _flatten(item, f"{path}[{index}]")
    else:
        for item in detail if isinstance(detail, list) else [detail]:
            yield {"field": path, "message": str(item)[:MOST_WORDS], "remedy": _remedy(item)}


MOST_WORDS = 300  # of a message: some repeat what was sent
# By the code of REST framework's error; what is not here says itself what it wants.
REMEDIES = {
    "required": "Send this field.",
    "null": "Send a value, or leave the field out.",
    "blank": "Send a text that is not empty.",
    "invalid_choice": "Send one of the values that /api/schema/ lists for this field.",
    "invalid": "Send a value of the type that /api/schema/ gives for this field.",
    "not_a_list": "Send a JSON array.",
    "not_a_dict": "Send a JSON object.",
    "unknown": "Leave it out, or correct its name.",
    "max_length": "Shorten it.",
    "max_string_length": "Shorten it.",
    "max_value": "Send a smaller number.",
    "min_value": "Send a larger number.",
}


def _remedy(item: Any) -> str:
    return REMEDIES.get(str(getattr(item, "code", "")), "")
