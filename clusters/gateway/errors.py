"""What can go wrong between the portal and one API server, by what it means for the caller.

`Temporary` may pass by itself; `Permanent` needs a person or another request. The cause is always
chained. Texts from a cluster are cut and cleaned before they reach a log or a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from clusters.engine.health import Contact
from clusters.engine.raw import mapping, mappings, text
from fleetportal.kit.errors import Permanent, PortalError, Temporary
from fleetportal.kit.net import AddressRefused

_MAX_DELAY = 300.0  # seconds; a cluster may not park us for longer
_OWNER = re.compile(r'conflict with "([^"]{1,200})"')
# The webhook reads ConfigMaps through a cache: right after an apply it may not see them yet.
_CACHE_LAG = re.compile(r"config ?maps?\b.{0,300}\bnot found", re.IGNORECASE | re.DOTALL)
_WEBHOOK_DENIED = re.compile(r"admission webhook .{1,200}? denied the request", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of a Status' details: which field, and what about it."""

    field: str
    message: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that was read to its end. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Unreachable(Temporary):
    """No connection, no answer in time, or a connection that broke."""

    type = "cluster-unreachable"


class TlsFailed(Permanent):
    """The certificate of the server does not verify, or ours is not accepted."""

    type = "cluster-tls"


class Unauthorized(Permanent):
    """401: the credential is not accepted (any more)."""

    type = "cluster-unauthorized"


class Forbidden(Permanent):
    """403: a permission is missing, or policy, quota or a dying namespace says no."""

    type = "cluster-forbidden"


class NotFound(Permanent):
    """404: the object, its namespace or its kind is not there."""

    type = "cluster-not-found"


class Conflict(Permanent):
    """409 that trying again cannot solve: others own fields, or the object is another one.

    `owners` are (field manager, field) pairs.
    """

    type = "cluster-conflict"

    def __init__(
        self, message: str, *, owners: tuple[tuple[str, str], ...] = (), remedy: str = ""
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.owners = owners


class Outdated(Temporary):
    """409: the object changed since it was read; read again."""

    type = "cluster-outdated"


class Invalid(Permanent):
    """The API server cannot accept this object or request; `causes` name the fields."""

    type = "cluster-invalid"

    def __init__(self, message: str, *, causes: tuple[Cause, ...] = ()) -> None:
        super().__init__(message)
        self.causes = causes


class AdmissionDenied(Permanent):
    """A webhook read the object and said no."""

    type = "admission-denied"
    retryable = False


class AdmissionUndecided(Temporary):
    """A webhook did not answer, or did not yet see what the object refers to. Retry, bounded."""

    type = "admission-undecided"
    retryable = True


class TooMany(Temporary):
    """429: slow down; `delay` is what the server asks for."""

    type = "cluster-busy"


class Gone(Temporary):
    """410: the resourceVersion or continue token is too old; list again."""

    type = "cluster-gone"


class ServerFault(Temporary):
    """5xx without more meaning."""

    type = "cluster-fault"


class Garbage(Temporary):
    """An answer that is too large, too deep, not JSON, or a redirect (never followed)."""

    type = "cluster-garbage"


ClusterFailure = Temporary | Permanent


def contact_of(error: PortalError) -> Contact:
    """What a failed call says about the health of the cluster."""
    if isinstance(error, Unreachable):
        return Contact.UNREACHABLE
    if isinstance(error, TlsFailed | Unauthorized | AddressRefused):
        return Contact.REFUSED
    return Contact.PARTIAL


def reason_of(error: PortalError) -> str:
    """Why a cluster is not well, for whoever has to help. What API servers say of themselves is
    one word ("Unauthorized"): it comes after ours."""
    if isinstance(error, Unauthorized):
        return f"The API server does not accept the portal's credential: {error.message}"
    if isinstance(error, TooMany):
        return f"The API server turns the portal's requests away for now: {error.message}"
    return error.message


def error_from(answer: Answer) -> ClusterFailure:
    """The error that an answer with status >= 300 stands for."""
    status = _status_object(answer.body)
    message = clean(text_of(status, answer))
    if answer.status < 400:
        return Garbage("The API server sent a redirect, which is never followed.")
    simple: dict[int, type[ClusterFailure]] = {
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        410: Gone,
    }
    if answer.status in simple:
        return simple[answer.status](message)
    if answer.status == 409:
        return _conflict(message, status)
    if answer.status == 429:
        return TooMany(message, delay=_retry_after(answer, 1.0))
    return _other(message, status, answer)


def _other(message: str, status: Mapping[str, object], answer: Answer) -> ClusterFailure:
    if _WEBHOOK_DENIED.search(message):
        if _CACHE_LAG.search(message):
            words = "KAITO's admission has not seen the ConfigMap yet; trying again."
            return AdmissionUndecided(words, delay=2.0)
        return AdmissionDenied(message)
    if "failed calling webhook" in message:
        return AdmissionUndecided(message, delay=_retry_after(answer, 5.0))
    if answer.status < 500 or "field not declared in schema" in message:
        return Invalid(message, causes=tuple(_causes(status)))
    return ServerFault(message, delay=_retry_after(answer, None))


def _conflict(message: str, status: Mapping[str, object]) -> ClusterFailure:
    owners = tuple(
        (found[1], cause.field)
        for cause in _causes(status)
        if cause.reason == "FieldManagerConflict" and (found := _OWNER.search(cause.message))
    )
    if owners:
        managers = ", ".join(sorted({manager for manager, _ in owners}))
        return Conflict(message, owners=owners, remedy=f"These fields belong to {managers}.")
    if status.get("reason") == "AlreadyExists" or "recondition failed" in message:
        return Conflict(message)
    return Outdated(message, delay=0.0)


def error_from_event(status: object) -> ClusterFailure:
    """The error that a watch's ERROR event stands for; its object is a Status."""
    found = mapping(status)
    code = found.get("code")
    body = orjson.dumps(dict(found), default=str)
    return error_from(Answer(code if isinstance(code, int) and code >= 400 else 500, {}, body))


def text_of(status: Mapping[str, object], answer: Answer) -> str:
    """What a Status says, else the code and the start of a plain body."""
    said = status.get("message")
    if isinstance(said, str) and said:
        return said
    plain = answer.body[:200].decode("utf-8", "replace") if not status else ""
    return f"The API server answered {answer.status}. {plain}".strip()


def clean(value: str, limit: int = 600) -> str:
    """Text of a cluster without control characters, cut to a length that fits a page."""
    shown = "".join(c if c.isprintable() else " " for c in value[: limit + 1]).strip()
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def _status_object(body: bytes) -> Mapping[str, object]:
    try:
        found = mapping(orjson.loads(body))
    except orjson.JSONDecodeError:
        return {}
    return found if found.get("kind") == "Status" else {}


def is_status(body: bytes) -> bool:
    """Did the API server itself write this body (and not something behind its proxy)?"""
    return bool(_status_object(body))


def _causes(status: Mapping[str, object]) -> Iterator[Cause]:
    for cause in mappings(mapping(status.get("details")).get("causes")):
        message = cause.get("message")
        yield Cause(
            field=text(cause.get("field")),
            message=clean(message) if isinstance(message, str) else "",
            reason=text(cause.get("reason")),
        )


def _retry_after(answer: Answer, default: float | None) -> float | None:
    value = answer.headers.get("retry-after", "")
    return min(float(value), _MAX_DELAY) if value.isascii() and value.isdigit() else default
