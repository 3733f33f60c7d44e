"""Answers read field by field without asking every field anew how it is read.

REST framework walks each field's source, looks for callables and collects the readable fields for
every object; a list of fifty pays that thousands of times. Here a serializer settles once how each
field is read. The answers are the same: what is not plain is left to the framework.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.fields import SkipField
from rest_framework.relations import PKOnlyObject

Read = Callable[[Any], Any]

PLAIN = (
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateTimeField,
    serializers.FloatField,
    serializers.IntegerField,
    serializers.JSONField,
    serializers.ListField,
    serializers.UUIDField,
    serializers.BaseSerializer,
)


class Rows(serializers.Serializer[Any]):
    """First among the bases of a serializer that only answers."""

    @cached_property
    def _readers(self) -> list[tuple[str, Read]]:
        return [(str(field.field_name), _reader(field)) for field in self._readable_fields]

    def to_representation(self, instance: Any) -> dict[str, Any]:
        answer = {}
        for name, read in self._readers:
            try:
                answer[name] = read(instance)
            except SkipField:
                continue
        return answer


def _reader(field: Any) -> Read:
    if isinstance(field, serializers.SerializerMethodField):
        method: Read = getattr(field.parent, str(field.method_name))
        return method
    return _plain(field) if isinstance(field, PLAIN) and field.source_attrs else _any(field)


def _plain(field: Any) -> Read:
    """An attribute, or one of an attribute. Mappings, callables and gaps go the long way."""
    get, shown, otherwise = attrgetter(field.source), field.to_representation, _any(field)

    def read(row: Any) -> Any:
        try:
            value = get(row)
        except (AttributeError, ObjectDoesNotExist):
            return otherwise(row)
        if value is None:
            return None
        return otherwise(row) if callable(value) else shown(value)

    return read


def _any(field: Any) -> Read:
    """As the framework's Serializer does it for one field."""

    def read(row: Any) -> Any:
        value = field.get_attribute(row)
        known = value.pk if isinstance(value, PKOnlyObject) else value
        return None if known is None else field.to_representation(value)

    return read
