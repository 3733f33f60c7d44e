"""By which road a cluster's metrics are read: the form."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from clusters.forms_metrics import ROADS, MetricsForm
from clusters.models import Cluster
from clusters.selectors.metrics import metrics_of
from clusters.services.metrics import metrics_configure
from clusters.views.actions import url_of
from clusters.views.clusters import find
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Invalid
from fleetportal.kit.htmx import redirect_to
from fleetportal.rest.auth import principal_of


@require_http_methods(["GET", "POST"])
@declares("cluster.register")
def metrics(request: HttpRequest, name: str) -> HttpResponse:
    """The collector takes it up within seconds."""
    cluster = find(principal_of(request), name)
    form = MetricsForm.of(cluster) if request.method == "GET" else MetricsForm.sent(request.POST)
    if request.method == "POST" and _stored(request, cluster, form):
        messages.success(request, f"Metrics of {name} are read in the new way from now on.")
        return redirect_to(request, f"{url_of(cluster)}#metrics")
    context = {
        "cluster": cluster,
        "form": form,
        "roads": ROADS,
        "found": metrics_of(cluster).found,
        "has_token": bool(cluster.metrics_token_sealed),
    }
    return render(request, "clusters/metrics.html", context, status=422 if form.errors else 200)


def _stored(request: HttpRequest, cluster: Cluster, form: MetricsForm) -> bool:
    if form.errors:
        return False
    try:
        metrics_configure(
            principal=principal_of(request),
            cluster=cluster,
            wanted=form.settings(),
            token=form.token,
        )
    except Invalid as error:
        form.refuse(error)
        return False
    return True
