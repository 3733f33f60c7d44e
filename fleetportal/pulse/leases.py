"""Taking and giving back a row. Conditional UPDATEs only, so that SQLite and PostgreSQL agree."""

from __future__ import annotations

import os
import socket
import threading
from datetime import datetime, timedelta

from django.db import IntegrityError
from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.utils import timezone

from fleetportal.pulse.models import Lease, Leased


def me() -> str:
    """This thread's name as a holder."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


def claim(row: Leased, *, seconds: float) -> bool:
    """Take the row for `seconds`. True when it is ours; `row.lease_token` is then the new fence.

    `not_before` is filled, so that whoever empties it meanwhile is noticed by `release`.
    """
    now = timezone.now()
    until = now + timedelta(seconds=seconds)
    free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=now)
    rows = type(row)._base_manager.filter(free, pk=row.pk, lease_token=row.lease_token)
    taken = rows.update(
        lease_holder=me(),
        lease_token=F("lease_token") + 1,
        lease_expires_at=until,
        not_before=until,
    )
    if taken:
        row.lease_token += 1
    return bool(taken)


def release(row: Leased, *, not_before: datetime | None) -> bool:
    """Give the row back, due again at `not_before` (None: at once). False: the fence moved on.

    A row that somebody made due (`not_before` None) while it was held stays due: what they changed
    may have come after the holder's look.
    """
    rows = type(row)._base_manager.filter(pk=row.pk, lease_token=row.lease_token)
    due: Case | None = None
    if not_before is not None:
        kept = When(not_before__isnull=True, then=Value(None))
        due = Case(kept, default=Value(not_before), output_field=DateTimeField(null=True))
    return bool(rows.update(lease_holder="", lease_expires_at=None, not_before=due))


def extend(row: Leased, *, seconds: float) -> bool:
    """Hold the row for `seconds` from now. False: the fence moved on, it is not ours any more."""
    rows = type(row)._base_manager.filter(pk=row.pk, lease_token=row.lease_token)
    return bool(rows.update(lease_expires_at=timezone.now() + timedelta(seconds=seconds)))


def hold(name: str, *, seconds: float) -> int | None:
    """Take or extend the named lease. The fencing token, or None when another process has it."""
    now, holder = timezone.now(), me()
    until = now + timedelta(seconds=seconds)
    if Lease.objects.filter(name=name, holder=holder, expires_at__gt=now).update(expires_at=until):
        return Lease.objects.values_list("token", flat=True).get(name=name)
    free = Lease.objects.filter(name=name, expires_at__lt=now)
    if free.update(holder=holder, token=F("token") + 1, expires_at=until):
        return Lease.objects.values_list("token", flat=True).get(name=name)
    if Lease.objects.filter(name=name).exists():
        return None
    try:
        Lease.objects.create(name=name, holder=holder, token=1, expires_at=until)
    except IntegrityError:
        return None
    return 1
