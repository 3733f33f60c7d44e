"""Answers that are read by settled readers are those that REST framework gives."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework import serializers

from fleetportal.rest.rows import Rows

KEY = uuid.UUID(int=7)


@dataclass
class Team:
    slug: str = "assist"


@dataclass
class Thing:
    name: str = "<b>"
    key: uuid.UUID = KEY
    at: datetime | None = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
    team: Team | None = field(default_factory=Team)
    facts: dict[str, Any] = field(default_factory=lambda: {"items": 3, "deep": {"size": None}})
    parts: list[Team] = field(default_factory=lambda: [Team("a"), Team("b")])
    state: str = "ready"

    def words(self) -> str:
        return f"{self.name} is here"


class Part(serializers.Serializer[Any]):
    slug = serializers.CharField()


class QuickPart(Rows):
    slug = serializers.CharField()


class Slow(serializers.Serializer[Any]):
    name = serializers.CharField()
    key = serializers.UUIDField()
    at = serializers.DateTimeField()
    team = serializers.CharField(source="team.slug", allow_null=True)
    needed = serializers.CharField(source="team.slug", read_only=True)
    otherwise = serializers.CharField(source="team.slug", default="nobody")
    count = serializers.IntegerField(source="facts.items")
    size = serializers.FloatField(source="facts.deep.size", allow_null=True)
    words = serializers.CharField()
    state = serializers.ChoiceField(choices=["ready", "lost"])
    own = serializers.SerializerMethodField()
    parts = Part(many=True)
    first = Part(source="team", allow_null=True)

    def get_own(self, thing: Thing) -> int:
        return len(thing.name)


class Quick(Rows, Slow):
    parts = QuickPart(many=True)  # type: ignore[assignment]
    first = QuickPart(source="team", allow_null=True)  # type: ignore[assignment]


@pytest.mark.parametrize(
    "thing",
    [Thing(), Thing(at=None), Thing(team=None), Thing(state="unheard of"), Thing(parts=[])],
    ids=["all there", "no moment", "no team", "a strange state", "no parts"],
)
def test_a_row_is_answered_as_the_framework_answers_it(thing: Thing) -> None:
    quick, slow = dict(Quick(thing).data), dict(Slow(thing).data)
    assert quick == slow
    assert list(quick) == list(slow)


def test_a_list_is_answered_row_by_row() -> None:
    things = [Thing(name="one"), Thing(name="two", team=None)]
    assert Quick(things, many=True).data == Slow(things, many=True).data


def test_what_is_missing_and_required_is_an_error() -> None:
    class Wants(Rows):
        absent = serializers.CharField()

    with pytest.raises(AttributeError, match="absent"):
        Wants(Thing()).data  # noqa: B018
