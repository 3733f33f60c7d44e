"""URLs of this app's pages."""

from __future__ import annotations

from django.urls import path

from fleetportal.console.views import audit, fleet, heat

urlpatterns = [
    path("fleet/", fleet.fleet_page, name="fleet"),
    path("fleet/heat/cells", heat.heat_cells, name="heat_cells"),
    path("fleet/heat/layout", heat.heat_layout, name="heat_layout"),
    path("fleet/heat/holders", heat.heat_holders, name="heat_holders"),
    path("fleet/heat/teams", heat.heat_teams, name="heat_teams"),
    path("fleet/gpu/<slug:cluster>/<str:node>/<int:index>/", heat.gpu, name="gpu"),
    path("fleet/parts/<slug:name>/", fleet.fleet_part, name="fleet_part"),
    path("fleet/trend/", fleet.fleet_trend, name="fleet_trend"),
    path("fleet/trend.json", fleet.fleet_trend_figures, name="fleet_trend_figures"),
    path("fleet/allocation.csv", fleet.allocation_csv, name="allocation_csv"),
    path("fleet/idle.csv", fleet.idle_csv, name="idle_csv"),
    path("audit/", audit.audit_page, name="audit"),
    path("audit/events.csv", audit.audit_csv, name="audit_csv"),
]
