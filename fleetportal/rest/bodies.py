"""What a request's body may hold: the listed fields and no others, as for parameters of lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request

MOST = 20  # unknown names that are told
LONGEST = 60  # of a told name


class Body(serializers.Serializer[Any]):
    """A field that is not listed is refused: a typo in a name would otherwise go by unseen."""

    @classmethod
    def sent(cls, request: Request) -> dict[str, Any]:
        """The checked values of a request's body. Raises ValidationError."""
        found = cls(data=request.data)
        found.is_valid(raise_exception=True)
        return dict(found.validated_data)

    def to_internal_value(self, data: Any) -> Any:
        wrong: dict[str, Any] = {}
        if isinstance(data, Mapping):
            message = f"is no field of this body; there are {', '.join(self.fields)}"
            unknown = sorted(str(name) for name in set(data) - set(self.fields))[:MOST]
            wrong = {name[:LONGEST]: ErrorDetail(message, code="unknown") for name in unknown}
        try:
            found = super().to_internal_value(data)
        except serializers.ValidationError as error:
            detail = error.detail if isinstance(error.detail, dict) else {}
            wrong = {**detail, **wrong}
        if wrong:
            raise serializers.ValidationError(wrong)
        return found
