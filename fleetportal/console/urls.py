"""URLs of this app's pages."""

from __future__ import annotations

from django.urls import path

from fleetportal.console.views import audit, fleet

urlpatterns = [
    path("fleet/", fleet.fleet_page, name="fleet"),
    path("audit/", audit.audit_page, name="audit"),
    path("audit/events.csv", audit.audit_csv, name="audit_csv"),
]
