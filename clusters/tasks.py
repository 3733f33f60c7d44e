"""What a worker does for this app: a primary key in, one service call."""

from __future__ import annotations

from celery import shared_task

from clusters.services import probing


@shared_task(name=probing.TASK)
def connection(pk: str) -> None:
    probing.connection_answer(pk)
