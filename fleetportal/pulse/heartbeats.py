"""Signs of life, and what their absence means."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Max
from django.utils import timezone

from fleetportal.pulse.models import Heartbeat

ALIVE_FOR = timedelta(seconds=30)
FORGET_AFTER = timedelta(days=1)
KINDS = ("worker", "ticker", "collector")


def beat(kind: str, name: str) -> None:
    Heartbeat.objects.update_or_create(kind=kind, name=name, defaults={"at": timezone.now()})


def age(kind: str) -> float | None:
    """Seconds since the last sign of any process of this kind; None when there never was one."""
    at = Heartbeat.objects.filter(kind=kind).aggregate(at=Max("at"))["at"]
    return None if at is None else (timezone.now() - at).total_seconds()


def count(kind: str, within: timedelta = ALIVE_FOR) -> int:
    """How many processes of this kind have given a sign within that time."""
    return Heartbeat.objects.filter(kind=kind, at__gt=timezone.now() - within).count()


def names(kind: str) -> list[str]:
    """Every process of this kind that ever gave a sign and is not forgotten."""
    return list(Heartbeat.objects.filter(kind=kind).values_list("name", flat=True))


def forget(kind: str, name: str = "") -> None:
    """Of a process that ends: no more signs are expected. Without a name: those long gone."""
    rows = Heartbeat.objects.filter(kind=kind)
    gone = rows.filter(name=name) if name else rows.filter(at__lt=timezone.now() - FORGET_AFTER)
    gone.delete()


def alive(*kinds: str) -> bool:
    """Whether any process of one of these kinds has given a sign within ALIVE_FOR."""
    return Heartbeat.objects.filter(kind__in=kinds, at__gt=timezone.now() - ALIVE_FOR).exists()
