"""Assembly of every app's URLs. Nothing imports this."""

from __future__ import annotations

from django.urls import include, path

from fleetportal.web import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
    path("switch/", views.switch, name="switch"),
    path("", views.home, name="home"),
    path("", include("clusters.urls")),
    path("", include("workspaces.urls")),
    path("", include("rollouts.urls")),
    path("", include("fleetportal.console.urls")),
]
