"""What a worker does for this app: a primary key in, one service call."""

from __future__ import annotations

from celery import shared_task

from workspaces.services import answers, logs, observation, plans, removal, startup


@shared_task(name=plans.TASK)
def plan(pk: str) -> None:
    plans.plan_compute(pk)


@shared_task(name=removal.TASK)
def retire(pk: str) -> None:
    removal.workspace_retire_step(pk)


@shared_task(name=observation.TASK)
def observe(pk: str) -> None:
    observation.workspaces_observe(pk)


@shared_task(name=startup.TASK)
def start(pk: str) -> None:
    startup.startup_look(pk)


@shared_task(name=answers.DRY_RUN)
def dry_run(pk: str) -> None:
    answers.dry_run_answer(pk)


@shared_task(name=answers.PROMPT)
def prompt(pk: str) -> None:
    answers.prompt_answer(pk)


@shared_task(name=logs.LOGS)
def read_logs(pk: str) -> None:
    logs.logs_answer(pk)
