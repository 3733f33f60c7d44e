"""URLs of this app's pages."""

from __future__ import annotations

from django.urls import path

from rollouts.views import approvals, control, deletion, rollouts

urlpatterns = [
    path("rollouts/", rollouts.rollout_list, name="rollouts"),
    path("rollouts/start/", control.rollout_begin, name="rollout_start"),
    path("rollouts/<uuid:pk>/", rollouts.rollout_page, name="rollout"),
    path("rollouts/<uuid:pk>/<slug:key>/", control.rollout_act, name="rollout_act"),
    path("approvals/", approvals.approval_list, name="approvals"),
    path("approvals/<uuid:pk>/", approvals.approval_page, name="approval"),
    path("approvals/<uuid:pk>/preflight/", approvals.approval_check, name="approval_check"),
    path("approvals/<uuid:pk>/approve/", approvals.approval_approve, name="approval_approve"),
    path("approvals/<uuid:pk>/reject/", approvals.approval_reject, name="approval_reject"),
    path("deployments/<uuid:pk>/delete/", deletion.deployment_remove, name="deployment_delete"),
]
