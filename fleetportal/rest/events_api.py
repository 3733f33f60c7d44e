"""`events/`: the journal."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from fleetportal.accounts.principal import declares
from fleetportal.journal.models import Event
from fleetportal.journal.selectors import LOOKUPS, events_for
from fleetportal.rest.endpoints import ReadEndpoint
from fleetportal.rest.filters import Filter
from fleetportal.rest.rows import Rows


class EventRow(Rows, serializers.ModelSerializer[Event]):
    id = serializers.CharField(read_only=True)
    url = serializers.SerializerMethodField(help_text="An event has no page of its own.")
    version = serializers.SerializerMethodField(help_text="1: an event never changes.")
    actor = serializers.CharField(source="actor_name", read_only=True)
    team = serializers.SlugRelatedField[Event](slug_field="slug", read_only=True)
    object = serializers.CharField(source="object_name", read_only=True)

    class Meta:
        model = Event
        fields = (
            "id",
            "url",
            "version",
            "at",
            "actor",
            "via",
            "action",
            "object_type",
            "object_id",
            "object",
            "team",
            "reason",
            "before",
            "after",
        )

    def get_url(self, event: Event) -> str | None:
        return None

    def get_version(self, event: Event) -> int:
        return 1


@declares("audit.view")
class Events(ReadEndpoint):
    """Newest first. `since` is inclusive, `until` is not."""

    model = Event
    serializer_class = EventRow
    filters: ClassVar[dict[str, Filter]] = {
        name: Filter(lookup, "time" if name in ("since", "until") else "text")
        for name, lookup in LOOKUPS.items()
    }
    orderings: ClassVar[dict[str, str]] = {"at": "at"}
    lookup_value_regex = "[0-9]{1,18}"

    def rows(self) -> QuerySet[Event]:
        return events_for(self.principal)
