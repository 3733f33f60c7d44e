"""Kubernetes Status errors: one exception type and the constructors for the answers a real API
server gives.

It knows wording and codes only; it may not touch the store or HTTP.
"""

from typing import Any

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(Exception):
    """A refused request.

    `code` is the HTTP status, `reason` the Kubernetes reason (derived from the code when empty),
    `details` goes into the Status body as it is, `headers` into the HTTP answer.
    """

    def __init__(
        self,
        code: int,
        message: str,
        reason: str = "",
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or REASONS.get(code, "")
        self.details = details
        self.headers = headers or {}

    def status(self) -> dict[str, Any]:
        """The v1 Status object of this error."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }
        if self.details is None:
            del body["details"]
        return body


def details_of(group: str, plural: str, name: str, **more: Any) -> dict[str, Any]:
    """Status details: name, group (left out for the core group), kind (the plural), and what else
    is given.
    """
    details: dict[str, Any] = {"name": name}
    if group:
        details["group"] = group
    details["kind"] = plural
    details.update({key: value for key, value in more.items() if value is not None})
    return {key: value for key, value in details.items() if value != ""}


def resource_name(group: str, plural: str) -> str:
    """`workspaces.kaito.sh`, or `pods` for the core group."""
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> ApiError:
    """404 for one object."""
    text = f'{resource_name(group, plural)} "{name}" not found'
    return ApiError(404, text, details=details_of(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """409 for a create of a name that is taken."""
    text = f'{resource_name(group, plural)} "{name}" already exists'
    return ApiError(409, text, "AlreadyExists", details_of(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    """409 for a lost update or a failed precondition."""
    text = f'Operation cannot be fulfilled on {resource_name(group, plural)} "{name}": {why}'
    return ApiError(409, text, details=details_of(group, plural, name))


def forbidden(
    group: str, plural: str, name: str, why: str, causes: list[dict[str, str]] | None = None
) -> ApiError:
    """403 with Kubernetes' prefix."""
    target = f'{resource_name(group, plural)} "{name}"' if name else resource_name(group, plural)
    details = details_of(group, plural, name, causes=causes)
    return ApiError(403, f"{target} is forbidden: {why}", details=details)


def cause(reason: str, field: str, message: str) -> dict[str, str]:
    """One entry of `details.causes`."""
    return {"reason": reason, "message": message, "field": field}


def invalid(group: str, kind: str, name: str, causes: list[dict[str, str]]) -> ApiError:
    """422: the object breaks its schema or a rule of its kind. `kind` is the Kind, as Kubernetes
    writes it here.
    """
    lines = [f"{entry['field']}: {entry['message']}" for entry in causes]
    text = lines[0] if len(lines) == 1 else "[" + ", ".join(lines) + "]"
    target = f"{kind}.{group}" if group else kind
    details = details_of(group, kind, name, causes=causes)
    return ApiError(422, f'{target} "{name}" is invalid: {text}', details=details)
