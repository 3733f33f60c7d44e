"""What an operator does to one cluster: check, cordon, quota, another credential, remove."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from clusters.forms import CredentialForm, QuotaForm
from clusters.models import Cluster
from clusters.services.checks import check_wait
from clusters.services.probing import connection_check
from clusters.services.registration import (
    cluster_cordon,
    cluster_credential_replace,
    cluster_remove,
    quotas_declare,
)
from clusters.views.clusters import find
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import FieldProblem, Invalid, Refused, Stale
from fleetportal.kit.htmx import redirect_to
from fleetportal.rest.auth import principal_of

CONFIRM = "components/confirm_page.html"
WAIT_SECONDS = 2.0  # for a worker's answer before the page shows the check as pending


@require_POST
@declares("cluster.check")
def check(request: HttpRequest, name: str) -> HttpResponse:
    """Ask a worker to connect now; most answers are there when the page is."""
    principal = principal_of(request)
    cluster = find(principal, name)
    check_wait(connection_check(principal=principal, cluster=cluster), seconds=WAIT_SECONDS)
    return redirect_to(request, f"{url_of(cluster)}#contact")


@require_http_methods(["GET", "POST"])
@declares("cluster.cordon")
def cordon(request: HttpRequest, name: str) -> HttpResponse:
    """The question, and the answer. A reason is asked for: it is what stopped people will read."""
    principal = principal_of(request)
    cluster = find(principal, name)
    if request.method == "GET":
        return _ask_cordon(request, cluster)
    try:
        _unchanged(request, cluster)
        cluster_cordon(principal=principal, cluster=cluster, reason=request.POST.get("comment", ""))
    except (Invalid, Refused) as error:
        return _ask_cordon(request, cluster, error)
    messages.success(request, f"{name} is cordoned. What runs there stays.")
    return redirect_to(request, url_of(cluster))


@require_POST
@declares("cluster.cordon")
def uncordon(request: HttpRequest, name: str) -> HttpResponse:
    principal = principal_of(request)
    cluster = find(principal, name)
    cluster_cordon(principal=principal, cluster=cluster, reason="", cordoned=False)
    messages.success(request, f"{name} takes new workloads again.")
    return redirect_to(request, url_of(cluster))


@require_http_methods(["GET", "POST"])
@declares("cluster.register")
def quota(request: HttpRequest, name: str) -> HttpResponse:
    """Lines of `type nodes`; they replace what was declared before."""
    principal = principal_of(request)
    cluster = find(principal, name)
    form = QuotaForm.of(cluster) if request.method == "GET" else QuotaForm.sent(request.POST)
    if request.method == "POST" and not form.errors:
        quotas_declare(principal=principal, cluster=cluster, quotas=form.quotas)
        messages.success(request, f"Quota of {name} declared.")
        return redirect_to(request, f"{url_of(cluster)}#quota")
    context = {"cluster": cluster, "form": form}
    return render(request, "clusters/quota.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@declares("cluster.register")
def credential(request: HttpRequest, name: str) -> HttpResponse:
    """Another way in; the cluster must still be the same one. Nothing secret is shown again."""
    principal = principal_of(request)
    cluster = find(principal, name)
    form = CredentialForm(mode=request.GET.get("from", ""))
    if request.method == "POST":
        form = CredentialForm.sent(request.POST, request.FILES)
        if form.credential is not None and _replaced(request, cluster, form):
            return redirect_to(request, f"{url_of(cluster)}#contact")
    context = {"cluster": cluster, "form": form}
    return render(request, "clusters/credential.html", context, status=422 if form.errors else 200)


def _replaced(request: HttpRequest, cluster: Cluster, form: CredentialForm) -> bool:
    assert form.credential is not None  # noqa: S101 - the caller has looked
    try:
        made = cluster_credential_replace(
            principal=principal_of(request), cluster=cluster, credential=form.credential
        )
    except Invalid as error:
        form.refuse(error)
        return False
    check_wait(made, seconds=WAIT_SECONDS)
    messages.success(request, f"Credential of {cluster.name} replaced.")
    return True


@require_http_methods(["GET", "POST"])
@declares("cluster.remove")
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """The typed name; refused while deployments use the cluster."""
    principal = principal_of(request)
    cluster = find(principal, name)
    if request.method == "GET":
        return _ask_remove(request, cluster)
    try:
        if request.POST.get("confirm", "").strip() != name:
            raise Invalid(FieldProblem("confirm", "is another name", f"Type {name}."))
        cluster_remove(principal=principal, cluster=cluster)
    except (Invalid, Refused) as error:
        return _ask_remove(request, cluster, error)
    messages.success(request, f"{name} is no longer managed. Nothing on it was touched.")
    return redirect_to(request, reverse("clusters"))


def _unchanged(request: HttpRequest, cluster: Cluster) -> None:
    """Raises Stale when somebody acted between the question and the answer."""
    if request.POST.get("version") not in (None, str(cluster.version)):
        raise Stale("This cluster has changed meanwhile.", remedy="Look again, then confirm.")


def _ask_cordon(
    request: HttpRequest, cluster: Cluster, error: Invalid | Refused | None = None
) -> HttpResponse:
    context = {
        "title": f"Cordon {cluster.name}?",
        "text": "No plan will place anything new there, and waiting targets stay queued. "
        "What runs there goes on running.",
        "action": reverse("cluster_cordon", args=[cluster.name]),
        "submit": "Cordon",
        "version": cluster.version,
        "comment": "required",
        "comment_value": request.POST.get("comment", ""),
        "errors": {"comment": _words(error)} if error else {},
    }
    return _confirm(request, cluster, context, error)


def _ask_remove(
    request: HttpRequest, cluster: Cluster, error: Invalid | Refused | None = None
) -> HttpResponse:
    context = {
        "title": f"Remove {cluster.name}?",
        "text": "The portal forgets its credential and stops watching it. Nothing on the cluster "
        "is touched.",
        "action": reverse("cluster_remove", args=[cluster.name]),
        "submit": "Remove",
        "danger": True,
        "version": None,
        "typed": cluster.name,
        "errors": {"confirm": _words(error)} if error else {},
    }
    return _confirm(request, cluster, context, error)


def _confirm(
    request: HttpRequest,
    cluster: Cluster,
    context: dict[str, Any],
    error: Invalid | Refused | None,
) -> HttpResponse:
    context["cancel_url"] = url_of(cluster)
    return render(request, CONFIRM, context, status=error.status if error else 200)


def _words(error: Invalid | Refused) -> str:
    if isinstance(error, Invalid):
        return f"It {error.problems[0]}"
    return str(error)


def url_of(cluster: Cluster) -> str:
    return reverse("cluster", args=[cluster.name])
