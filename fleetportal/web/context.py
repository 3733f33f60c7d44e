"""What the frame of every page needs: navigation, who is signed in, banners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from fleetportal.accounts.demo import demo_accounts
from fleetportal.pulse import heartbeats

NAV = (
    ("Fleet", "fleet"),
    ("Deployments", "deployments"),
    ("Catalog", "catalog"),
    ("Rollouts", "rollouts"),
    ("Approvals", "approvals"),
    ("Clusters", "clusters"),
    ("Prices", "prices"),
    ("Audit", "audit"),
)
Counter = Callable[[Any], int]
counters: dict[str, Counter] = {}  # url name -> number beside it; apps add theirs at start-up


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context for base.html; empty for people who are not signed in and for htmx parts."""
    principal = getattr(request, "principal", None)
    if principal is None or getattr(request, "htmx", False):
        return {"demo": settings.DEMO}
    return {
        "demo": settings.DEMO,
        "principal": principal,
        "nav": [_entry(request, principal, *place) for place in _places()],
        "demo_accounts": _demo_accounts(request),
        "engine_silent": not heartbeats.alive("worker", "ticker"),
    }


def _demo_accounts(request: HttpRequest) -> list[dict[str, str]]:
    """Those one may go on as: in the demo, after signing in with a password."""
    return demo_accounts() if request.session.get("password_login") else []


def _places() -> list[tuple[str, str, str]]:
    """(label, name, url) of the pages that there are."""
    return [(label, name, url) for label, name in NAV if (url := _url(name))]


def _entry(request: HttpRequest, principal: Any, label: str, name: str, url: str) -> dict[str, Any]:
    counter = counters.get(name)
    return {
        "label": label,
        "url": url,
        "active": request.path.startswith(url),
        "count": counter(principal) if counter else 0,
    }


def _url(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
