"""The login limiter. Its memory is the database, so no restart and no flush resets it."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils import timezone

from fleetportal.accounts.models import LoginFailure, User
from fleetportal.kit.errors import Refused

WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 10
PER_NETWORK = 100
FORGET_AT_ONCE = 50


class TooManyTries(Refused):
    type = "too-many-tries"
    status = 429
    title = "Too many tries"
    retry_after = int(WINDOW.total_seconds())


def login_try(*, request: HttpRequest, username: str, password: str) -> User | None:
    """Check a password within the limits. None: wrong. Raises TooManyTries.

    The try is written down before it is counted and struck out when it was right: so many at once
    cannot all slip through.
    """
    account, network = _storable(username)[:150].casefold()[:150], network_of(request)
    now = timezone.now()
    attempt = LoginFailure.objects.create(account=account, network=network, at=now)
    if _beyond(account, network, now - WINDOW):
        attempt.delete()
        raise TooManyTries("Too many wrong passwords.", remedy="Try again in 15 minutes.")
    user = authenticate(request, username=_storable(username), password=password)
    if isinstance(user, User):
        attempt.delete()
        return user
    _forget_before(now - WINDOW)
    return None


def _beyond(account: str, network: str, since: datetime) -> bool:
    recent = LoginFailure.objects.filter(at__gt=since)
    return (
        recent.filter(account=account).count() > PER_ACCOUNT
        or recent.filter(network=network).count() > PER_NETWORK
    )


def _forget_before(moment: datetime) -> None:
    """What no longer counts; a few at a time, since a stranger chooses how many there are."""
    old = LoginFailure.objects.filter(at__lt=moment).values_list("pk", flat=True)
    LoginFailure.objects.filter(pk__in=list(old[:FORGET_AT_ONCE])).delete()


def network_of(request: HttpRequest) -> str:
    """The caller's address, an IPv6 one cut to its /64. Forwarded headers are not trusted."""
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR") or "0.0.0.0")  # noqa: S104
    except ValueError:
        return "unknown"
    if address.version == 6:
        return str(ipaddress.ip_network(f"{address}/64", strict=False).network_address)
    return str(address)


def _storable(username: str) -> str:
    """Without NUL, which PostgreSQL refuses; no account has one, so such a name stays wrong."""
    return username.replace("\x00", "\ufffd")
