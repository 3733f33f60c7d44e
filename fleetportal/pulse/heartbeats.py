"""Signs of life, and what their absence means."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Max
from django.utils import timezone

from fleetportal.pulse.models import Heartbeat

ALIVE_FOR = timedelta(seconds=30)
KINDS = ("worker", "ticker", "collector")


def beat(kind: str, name: str) -> None:
    Heartbeat.objects.update_or_create(kind=kind, name=name, defaults={"at": timezone.now()})


def age(kind: str) -> float | None:
    """Seconds since the last sign of any process of this kind; None when there never was one."""
    at = Heartbeat.objects.filter(kind=kind).aggregate(at=Max("at"))["at"]
    return None if at is None else (timezone.now() - at).total_seconds()


def alive(kind: str) -> bool:
    """Whether any process of this kind has given a sign within ALIVE_FOR."""
    return Heartbeat.objects.filter(kind=kind, at__gt=timezone.now() - ALIVE_FOR).exists()
