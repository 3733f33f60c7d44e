from __future__ import annotations

from django.apps import AppConfig


class RolloutsConfig(AppConfig):
    name = "rollouts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from clusters.services.checks import answers_checks
        from fleetportal.live.audience import by_rows, hears
        from fleetportal.pulse import ticker
        from fleetportal.web import context
        from rollouts import marks, motion, selectors
        from rollouts.models import Approval, Rollout
        from rollouts.services import approvals, start, step
        from workspaces.selectors import marks as shown_marks
        from workspaces.selectors import motion as shown_motion
        from workspaces.selectors import strategies as offered_strategies
        from workspaces.services import observation

        ticker.register(
            start.TASK,
            lambda now, limit: Rollout.objects.due(now).values_list("pk", flat=True)[:limit],
            step.rollout_advance,
        )
        answers_checks(approvals.PREFLIGHT, approvals.preflight_answer)
        observation.changed.append(step.deployment_changed)
        context.counters["approvals"] = selectors.approvals_to_decide
        shown_motion.told_by(motion.motions, motion.waiting)
        shown_marks.told_by(marks.stage_marks)
        offered_strategies.offer_from(motion.strategies)
        hears("rollout", by_rows(Rollout.objects.visible_to))
        hears("approval", by_rows(Approval.objects.visible_to))
        hears("check-of", by_rows(Approval.objects.visible_to))
