"""URLs of this app's pages."""

from __future__ import annotations

from django.urls import path

from workspaces.views import (
    catalog,
    cost,
    deployment,
    deployments,
    logs,
    model,
    plans,
    secrets,
    serving,
)

urlpatterns = [
    path("catalog/", catalog.catalog_list, name="catalog"),
    path("catalog/<str:slug>/", model.model_page, name="model"),
    path("plans/<uuid:pk>/", plans.plan_page, name="plan"),
    path("plans/<uuid:pk>/again/", plans.plan_repeat, name="plan_again"),
    path("plans/<uuid:pk>/dry-run/", plans.plan_dry_run, name="plan_dry_run"),
    path("deployments/", deployments.deployment_list, name="deployments"),
    path("deployments/<uuid:pk>/", deployment.deployment_page, name="deployment"),
    path("deployments/<uuid:pk>/cost/", cost.deployment_cost, name="deployment_cost"),
    path("deployments/<uuid:pk>/figures/", serving.serving_figures, name="serving_figures"),
    path("deployments/<uuid:pk>/metrics/", serving.serving_table, name="serving_table"),
    path("deployments/<uuid:pk>/prompt/", deployment.deployment_prompt, name="deployment_prompt"),
    path("workspaces/<uuid:pk>/logs/", logs.workspace_logs, name="workspace_logs"),
    path("workspaces/<uuid:pk>/logs.txt", logs.workspace_logs_text, name="workspace_logs_text"),
    path("teams/<slug:slug>/secret/", secrets.team_secret, name="team_secret"),
]
