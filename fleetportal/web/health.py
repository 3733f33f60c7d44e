"""Whether the installation works, for load balancers (/readyz) and Prometheus (/metrics).

Counts and ages only: no name of a team, cluster or person leaves here without signing in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db import DatabaseError
from django.db.models import Count, Min, Model
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from fleetportal.accounts.principal import declares
from fleetportal.kit import meters
from fleetportal.pulse import heartbeats
from fleetportal.pulse.models import Leased

Row = tuple[dict[str, str], float]


@require_GET
@declares("public")
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when every part works, else 503; each part with its age in seconds (null: never seen)."""
    parts = health()
    ok = all(part["ok"] for part in parts.values())
    body = {"status": "ok" if ok else "not-ready", "parts": parts}
    response = JsonResponse(body, status=200 if ok else 503)
    response._has_been_logged = True  # type: ignore[attr-defined]  # an answer, not a fault to log
    return response


def health() -> dict[str, dict[str, Any]]:
    """Part -> {ok, age}. `broker`: a worker answered a task that went through the broker."""
    try:
        return {
            "database": {"ok": True},
            "broker": _beats("worker"),
            "ticker": _beats("ticker"),
            "collector": _beats("collector"),
        }
    except DatabaseError:
        return {"database": {"ok": False}}


def _beats(kind: str) -> dict[str, Any]:
    age = heartbeats.age(kind)
    alive = age is not None and age <= heartbeats.ALIVE_FOR.total_seconds()
    return {"ok": alive, "age": None if age is None else round(age, 1)}


@require_GET
@declares("public")
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text format 0.0.4."""
    lines = [
        *_metric("fleetportal_rows", "Rows by kind and state.", rows_by_state()),
        *_metric("fleetportal_due_rows", "Rows that wait for a worker now.", due_rows()),
        *_metric("fleetportal_due_oldest_seconds", "How long the oldest waits.", due_ages()),
        *_metric("fleetportal_heartbeat_age_seconds", "Since the last sign of life.", beat_ages()),
        *_meters(),
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4")


def _meters() -> Iterator[str]:
    """What this process counts itself; each web process has its own."""
    for name, kind, text, rows in meters.lines():
        yield from _metric(name, text, rows, kind)


def _metric(name: str, text: str, rows: Iterable[Row], kind: str = "gauge") -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in rows:
        inside = ",".join(f'{key}="{word}"' for key, word in labels.items())
        yield f"{name}{{{inside}}} {value:g}" if inside else f"{name} {value:g}"


def _models_with(field: str) -> Iterator[type[Model]]:
    for model in apps.get_models():
        if any(own.name == field for own in model._meta.concrete_fields):
            yield model


def _kind(model: type[Model]) -> str:
    return str(model._meta.model_name)


def rows_by_state() -> Iterator[Row]:
    """One row for every state that occurs."""
    for model in _models_with("state"):
        counts = model._base_manager.order_by().values_list("state").annotate(n=Count("pk"))
        for state, number in counts:
            yield {"kind": _kind(model), "state": state}, number


def _due_models() -> Iterator[type[Model]]:
    for model in _models_with("lease_token"):
        if issubclass(model, Leased) and hasattr(model._default_manager, "due"):
            yield model


def due_rows() -> Iterator[Row]:
    for model in _due_models():
        rows = model._default_manager.due(timezone.now())  # type: ignore[attr-defined]
        yield {"kind": _kind(model)}, rows.count()


def due_ages() -> Iterator[Row]:
    """Seconds since the oldest due row became due; 0 with none."""
    for model in _due_models():
        now = timezone.now()
        rows = model._default_manager.due(now)  # type: ignore[attr-defined]
        since = rows.order_by().aggregate(at=Min(Coalesce("not_before", "created_at")))["at"]
        yield {"kind": _kind(model)}, (now - since).total_seconds() if since else 0.0


def beat_ages() -> Iterator[Row]:
    for kind in heartbeats.KINDS:
        age = heartbeats.age(kind)
        if age is not None:
            yield {"kind": kind}, age
