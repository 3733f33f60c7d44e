"""Signing in and out, and the process's own health."""

from __future__ import annotations

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from fleetportal.accounts.demo import demo_accounts
from fleetportal.accounts.limits import TooManyTries, login_try
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Forbidden


@require_GET
@declares("public")
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked (that is /readyz)."""
    return JsonResponse({"status": "ok"})


@require_GET
@declares("view")
def home(request: HttpRequest) -> HttpResponse:
    """Where each persona starts: operators at the fleet, everybody else at deployments."""
    return redirect("fleet" if request.principal.sees_all else "deployments")  # type: ignore[attr-defined]


@require_http_methods(["GET", "POST"])
@declares("public")
def login(request: HttpRequest) -> HttpResponse:
    """The login form; in the demo with a card per persona."""
    context = {
        "next": request.POST.get("next") or request.GET.get("next", ""),
        "username": request.POST.get("username") or request.GET.get("username", ""),
        "cards": demo_accounts(),
    }
    if request.method == "GET":
        return render(request, "registration/login.html", context)
    username = request.POST.get("username", "")
    try:
        user = login_try(
            request=request, username=username, password=request.POST.get("password", "")
        )
    except TooManyTries as error:
        context["error"] = str(error)
        return render(request, "registration/login.html", context, status=429)
    if user is None:
        context["error"] = "User name or password is wrong."
        return render(request, "registration/login.html", context, status=422)
    auth.login(request, user)
    request.session["password_login"] = True
    return redirect(_safe_next(request))


@require_POST
@declares("public")
def logout(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return redirect("login")


@require_POST
@declares("view")
def switch(request: HttpRequest) -> HttpResponse:
    """Demo only, after a password login: go on as another demo account at the same page."""
    other = User.objects.filter(
        username=request.POST.get("username", ""), is_demo=True, is_active=True
    ).first()
    allowed = settings.DEMO and request.session.get("password_login") and request.user.is_demo  # type: ignore[union-attr]
    if not allowed or other is None:
        raise Forbidden("Accounts are switched only in the demo, after signing in with a password.")
    target = _safe_next(request)
    auth.login(request, other)
    request.session["password_login"] = True
    return redirect(target)


def _safe_next(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure())
    local = safe and target.startswith("/") and target.isprintable()
    return target if local else settings.LOGIN_REDIRECT_URL
