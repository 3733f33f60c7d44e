"""Assembly of every app's URLs. Nothing imports this."""

from __future__ import annotations

from django.urls import include, path

from fleetportal.live.views import ticket
from fleetportal.web import health, views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("api/", include("fleetportal.api")),
    path("live/ticket/", ticket, name="live_ticket"),
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
    path("switch/", views.switch, name="switch"),
    path("", views.home, name="home"),
    path("", include("clusters.urls")),
    path("", include("workspaces.urls")),
    path("", include("rollouts.urls")),
    path("", include("fleetportal.console.urls")),
]

handler400 = "fleetportal.web.errors.bad_request"
handler403 = "fleetportal.web.errors.not_allowed"
handler404 = "fleetportal.web.errors.not_found"
handler500 = "fleetportal.web.errors.server_error"
