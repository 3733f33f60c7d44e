"""A task that does nothing but prove that broker and worker work together."""

from __future__ import annotations

from celery import shared_task

from fleetportal.pulse import heartbeats


@shared_task(name="pulse.beat")
def pulse_beat(name: str) -> None:
    heartbeats.beat("worker", name)
