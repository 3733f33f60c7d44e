from __future__ import annotations

from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "workspaces"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        _work()
        _listen()
        _tell()


def _work() -> None:
    """What the ticker rings for, and which checks are answered here."""
    from clusters.models import Cluster
    from clusters.services.checks import answers_checks
    from fleetportal.pulse import ticker
    from workspaces.models import Plan, Workspace
    from workspaces.services import answers, logs, observation, plans, removal, startup

    ticker.register(
        plans.TASK,
        lambda now, limit: Plan.objects.due(now).values_list("pk", flat=True)[:limit],
        plans.plan_compute,
    )
    ticker.register(
        removal.TASK,
        lambda now, limit: Workspace.objects.retiring(now).values_list("pk", flat=True)[:limit],
        removal.workspace_retire_step,
    )
    ticker.register(
        startup.TASK,
        lambda now, limit: Workspace.objects.loading(now).values_list("pk", flat=True)[:limit],
        startup.startup_look,
    )
    ticker.register(
        observation.TASK,
        lambda now, limit: Cluster.objects.unread(now).values_list("pk", flat=True)[:limit],
        observation.workspaces_observe,
    )
    answers_checks(answers.DRY_RUN, answers.dry_run_answer)
    answers_checks(answers.PROMPT, answers.prompt_answer)
    answers_checks(logs.LOGS, logs.logs_answer)


def _listen() -> None:
    """What happens in the app below and concerns this one."""
    from clusters.services import prices, registration, telling
    from fleetportal.kit.doorbell import ring
    from workspaces.services import observation, pricing, removal

    telling.changed.append(lambda pk: ring(observation.TASK, pk))
    prices.repriced.append(pricing.workspaces_reprice)
    registration.in_use.append(removal.why_in_use)


def _tell() -> None:
    """Who may hear what on open pages."""
    from fleetportal.live.audience import by_rows, hears
    from workspaces.models import Deployment, Plan, Workspace
    from workspaces.selectors import serving

    hears("deployment", by_rows(Deployment.objects.visible_to))
    hears("workspace", by_rows(Workspace.objects.visible_to))
    hears("plan", by_rows(Plan.objects.visible_to))
    hears("check-of", by_rows(Deployment.objects.visible_to))
    hears("check-of", by_rows(Plan.objects.visible_to))
    hears("check-of", by_rows(Workspace.objects.visible_to))
    hears("serving", serving.serving_heard)
