from __future__ import annotations

from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "workspaces"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from clusters.models import Cluster
        from clusters.services import observation as clusters_observation
        from clusters.services import prices, registration
        from clusters.services.checks import answers_checks
        from fleetportal.kit.doorbell import ring
        from fleetportal.live.audience import by_rows, hears
        from fleetportal.pulse import ticker
        from workspaces.models import Deployment, Plan, Workspace
        from workspaces.selectors import serving
        from workspaces.services import (
            answers,
            logs,
            observation,
            plans,
            pricing,
            removal,
            startup,
        )

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
        clusters_observation.changed.append(lambda pk: ring(observation.TASK, pk))
        prices.repriced.append(pricing.workspaces_reprice)
        registration.in_use.append(removal.why_in_use)
        answers_checks(answers.DRY_RUN, answers.dry_run_answer)
        answers_checks(answers.PROMPT, answers.prompt_answer)
        answers_checks(logs.LOGS, logs.logs_answer)
        hears("deployment", by_rows(Deployment.objects.visible_to))
        hears("workspace", by_rows(Workspace.objects.visible_to))
        hears("plan", by_rows(Plan.objects.visible_to))
        hears("check-of", by_rows(Deployment.objects.visible_to))
        hears("check-of", by_rows(Plan.objects.visible_to))
        hears("check-of", by_rows(Workspace.objects.visible_to))
        hears("serving", serving.serving_heard)
