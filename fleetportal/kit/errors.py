"""The errors that cross layers. Each says whether trying again can help and what a person can do.

`Refused`, `Missing` and `Invalid` are answers to a person; `Temporary` and `Permanent` are answers
to whoever drives a step. No Django here: the web layer maps these to pages and problem documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class PortalError(Exception):
    """Base of every error that the portal raises on purpose. `type` is a stable slug."""

    type = "error"
    status = 500
    title = "Something went wrong"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that is wrong. `field` is the name as sent ("policy.required[0].labels")."""

    field: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message.rstrip('.')}. {self.remedy}".rstrip()


class Invalid(PortalError):
    """What was sent cannot be used; names each field and its remedy."""

    type = "invalid"
    status = 422
    title = "Check the highlighted fields"

    def __init__(self, problems: Sequence[FieldProblem] | FieldProblem) -> None:
        self.problems = (problems,) if isinstance(problems, FieldProblem) else tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p}" for p in self.problems))


class Missing(PortalError):
    """Not there, or not visible to the one who asks: the two are not told apart."""

    type = "not-found"
    status = 404
    title = "Not found"


class Forbidden(PortalError):
    """The object is visible but the verb is not granted."""

    type = "forbidden"
    status = 403
    title = "Not allowed"


class Refused(PortalError):
    """The state of the object does not allow this now. `type` may be narrowed by the caller."""

    type = "conflict"
    status = 409
    title = "Not possible now"

    def __init__(self, message: str, *, remedy: str = "", type_: str = "") -> None:
        super().__init__(message, remedy=remedy)
        if type_:
            self.type = type_


class Stale(Refused):
    """Somebody else was first: the row changed between reading and writing."""

    type = "stale"
    title = "Changed meanwhile"


class Temporary(PortalError):
    """An outside thing failed in a way that may pass. `delay`: seconds before another try."""

    type = "temporary"
    status = 503
    title = "Not available right now"

    def __init__(self, message: str, *, delay: float | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.delay = delay


class Permanent(PortalError):
    """An outside thing refused for good; trying the same again cannot help."""

    type = "permanent"
    status = 502
    title = "Refused by the cluster"
