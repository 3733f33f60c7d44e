"""Every visible cluster as a row that was made once: a page of a thousand reads them on each look.

What the database answers is compared with what it answered before, byte for byte; only rows that
differ are made again. Moments of contact move all the time and are set on the row as it stands.
Rows are shared by all who ask in this process: nobody may write to them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection

from clusters.models import Cluster
from clusters.selectors.census import listed
from clusters.selectors.seconds import Seconds
from fleetportal.accounts.principal import Principal

# Only what the fleet's page reads: the rest of a row costs as much again.
_READ = (
    *("id", "name", "state", "state_reason", "environment", "provider", "region", "cordoned"),
    *("cordon_reason", "taints", "capabilities", "pools_packed", "nodes_packed", "gpus_physical"),
)
_FIELDS = [field for field in Cluster._meta.concrete_fields if field.name in _READ]
COLUMNS = [field.attname for field in _FIELDS]  # in the order in which a row is made
_KEY = COLUMNS.index("id")
MOST_KEPT = 8192

_kept: dict[Any, tuple[tuple[Any, ...], Cluster]] = {}  # key -> as answered, as made


def roster(principal: Principal) -> list[Cluster]:
    """By name, with COLUMNS, `observed_at` and `last_contact_at` in whole seconds (one query)."""
    rows = listed(principal).order_by("name")
    moments = {"seen": Seconds("observed_at"), "met": Seconds("last_contact_at")}
    asked = rows.annotate(**moments).values_list(*COLUMNS, *moments)
    with connection.cursor() as cursor:
        cursor.execute(*asked.query.sql_with_params())
        found = cursor.fetchall()
    if len(_kept) + len(found) > 2 * MOST_KEPT:
        _kept.clear()
    return [_row(answer) for answer in found]


def _row(answer: tuple[Any, ...]) -> Cluster:
    facts, (seen, met) = answer[:-2], answer[-2:]
    key = facts[_KEY]
    before = _kept.get(key)
    if before is not None and before[0] == facts:
        row = before[1]
    else:
        row = _made(facts)
        _kept[key] = (facts, row)
    row.observed_at, row.last_contact_at = _moment(seen), _moment(met)
    return row


def _made(facts: tuple[Any, ...]) -> Cluster:
    values = [_value(field, value) for field, value in zip(_FIELDS, facts, strict=True)]
    return Cluster.from_db(connection.alias, COLUMNS, values)


def _value(field: Any, value: Any) -> Any:
    """As the ORM would make it of what a cursor answers."""
    if hasattr(field, "from_db_value"):
        return field.from_db_value(value, None, connection)
    return field.to_python(value)


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
