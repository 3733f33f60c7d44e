"""`If-Match`: act only on the version of an object that the caller has seen."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from fleetportal.kit.errors import FieldProblem, Invalid, PortalError


class VersionMismatch(PortalError):
    """The object has moved on since the caller read it."""

    type = "version-mismatch"
    status = 412
    title = "Changed meanwhile"


def check_version(request: Request, obj: Any) -> None:
    """Pass when `If-Match` is absent, `*`, or names `obj.version` ("7", with or without quotes).

    Raises Invalid for anything that is no version and VersionMismatch for another one.
    """
    sent = request.headers.get("If-Match")
    if sent is None or sent.strip() == "*":
        return
    versions = [part.strip().removeprefix("W/").strip('"') for part in sent.split(",")]
    if not all(part.isascii() and part.isdigit() for part in versions):
        raise Invalid(
            FieldProblem(
                "If-Match", "is no version", 'Send the object\'s version, as in If-Match: "7".'
            )
        )
    if str(obj.version) not in versions:
        raise VersionMismatch(
            f"This object is at version {obj.version}.", remedy="Read it again and decide anew."
        )
