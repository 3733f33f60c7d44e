"""`strategies/`: the ways a rollout can go through a fleet."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from fleetportal.accounts.principal import declares
from fleetportal.rest.endpoints import ReadEndpoint
from fleetportal.rest.filters import Filter
from rollouts.models import Strategy


class StrategyAnswer(serializers.ModelSerializer[Strategy]):
    """`spec`: stages with selectors, concurrency, soak, approval; seconds throughout."""

    id = serializers.CharField(source="slug", read_only=True)
    spec: Any = serializers.DictField(read_only=True)

    class Meta:
        model = Strategy
        fields = ("id", "slug", "name", "description", "spec")


@declares("view")
class Strategies(ReadEndpoint):
    model = Strategy
    serializer_class = StrategyAnswer
    lookup_field = "slug"
    filters: ClassVar[dict[str, Filter]] = {}
    orderings: ClassVar[dict[str, str]] = {"slug": "slug", "name": "name"}

    def rows(self) -> QuerySet[Strategy]:
        return Strategy.objects.order_by("slug")
