"""What a worker does for this app: a primary key in, one service call."""

from __future__ import annotations

from celery import shared_task

from rollouts.services import approvals, start, step


@shared_task(name=start.TASK)
def advance(pk: str) -> None:
    step.rollout_advance(pk)


@shared_task(name=approvals.PREFLIGHT)
def preflight(pk: str) -> None:
    approvals.preflight_answer(pk)
