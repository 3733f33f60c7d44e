from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal

from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.journal.services import event_record
from tests.support import People


def test_the_portals_own_changes_name_the_portal(people: People) -> None:
    event = event_record(action="team.create", obj=people.assist)
    assert (event.actor, event.actor_name, event.via) == (None, "fleetportal", "worker")


def test_values_are_kept_as_json_and_opaque_ones_only_named(people: People) -> None:
    key, moment = uuid.uuid4(), datetime(2026, 1, 2, tzinfo=UTC)
    values = {
        "id": key,
        "at": moment,
        "price": Decimal("1.50"),
        "team": people.assist,
        "many": {1: {"x"}},
        "sealed": b"secret",
    }
    event_record(action="x", obj=people.assist, principal=Principal(people.admin), after=values)
    assert Event.objects.get().after == {
        "id": str(key),
        "at": moment.isoformat(),
        "price": "1.50",
        "team": str(people.assist.pk),
        "many": {"1": ["x"]},
        "sealed": "<bytes>",
    }
