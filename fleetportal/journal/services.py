"""Writing the journal. Called inside the transaction of the change that it records."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.utils import timezone

from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.kit import news
from fleetportal.kit.states import Change


def event_record(
    *,
    action: str,
    obj: Any,
    principal: Principal | None = None,
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> Event:
    """Write one row. Models may say more of themselves by `journal_scope` and `journal_name`."""
    event = _write(action, obj, principal, reason, before, after)
    news.changed_row(obj)
    return event


def _write(
    action: str,
    obj: Any,
    principal: Principal | None,
    reason: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> Event:
    return Event.objects.create(
        at=timezone.now(),
        actor=principal.user if principal else None,
        actor_name=principal.user.username if principal else "fleetportal",
        via=principal.via if principal else "worker",
        action=action,
        object_type=obj._meta.model_name,
        object_id=str(obj.pk),
        object_name=str(getattr(obj, "journal_name", "") or obj)[:200],
        scope=str(getattr(obj, "journal_scope", "")),
        team_id=getattr(obj, "team_id", None),
        reason=reason,
        before={key: _plain(value) for key, value in (before or {}).items()},
        after={key: _plain(value) for key, value in (after or {}).items()},
    )


def record_change(change: Change) -> None:
    """The recorder that kit.states.move calls. Models may keep routine moves out of the journal by
    `journal_quiet`: what nobody asked for and nobody will look for."""
    if getattr(change.obj, "journal_quiet", False):
        return
    action = f"{change.machine.name}.{change.action}"
    _write(action, change.obj, change.actor, change.reason, change.before, change.after)


def _plain(value: Any) -> Any:
    """A JSON value; big or opaque ones are named, not stored."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, uuid.UUID | Decimal):
        return str(value)
    if isinstance(value, Model):
        return str(value.pk)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return f"<{type(value).__name__}>"
