"""Joining a cluster: its credential, its name, and the rights that the portal needs there."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from clusters.forms import PROVIDERS, CredentialForm, RegisterForm
from clusters.services.checks import check_wait
from clusters.services.registration import Registration, cluster_register
from clusters.views.actions import WAIT_SECONDS, url_of
from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Invalid
from fleetportal.kit.htmx import redirect_to
from fleetportal.rest.auth import principal_of

MEMBER_RBAC = settings.BASE_DIR / "deploy" / "kubernetes" / "member-rbac.yaml"


@require_http_methods(["GET", "POST"])
@declares("cluster.register")
def register(request: HttpRequest) -> HttpResponse:
    """`?from=kubeconfig` or `fields`. Then the cluster's page, its first check under way."""
    if request.method == "GET":
        form = RegisterForm(CredentialForm(mode=request.GET.get("from", "")))
        return _page(request, form)
    form = RegisterForm.sent(request.POST, request.FILES)
    registration = form.registration()
    if registration is not None:
        answer = _join(request, form, registration)
        if answer is not None:
            return answer
    return _page(request, form, 422)


def _join(
    request: HttpRequest, form: RegisterForm, registration: Registration
) -> HttpResponse | None:
    try:
        cluster, check = cluster_register(
            principal=principal_of(request), registration=registration
        )
    except Invalid as error:
        form.refuse(error)
        return None
    check_wait(check, seconds=WAIT_SECONDS)
    messages.success(request, f"{cluster.name} is registered; a worker connects to it.")
    return redirect_to(request, f"{url_of(cluster)}#contact")


def _page(request: HttpRequest, form: RegisterForm, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "mode": form.credential.mode,
        "errors": form.all_errors,
        "providers": PROVIDERS,
        "teams": Team.objects.order_by("slug"),
    }
    return render(request, "clusters/register.html", context, status=status)


@require_GET
@declares("cluster.register")
def member_rbac(request: HttpRequest) -> HttpResponse:
    """The manifest that grants the portal its rights on a member cluster."""
    return HttpResponse(
        MEMBER_RBAC.read_bytes(),
        content_type="application/yaml; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="member-rbac.yaml"'},
    )
