"""API tokens: made once, shown once, kept as an HMAC, found by prefix."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from fleetportal.accounts.models import Token, User
from fleetportal.accounts.principal import Principal
from fleetportal.kit.errors import FieldProblem, Invalid, Missing
from fleetportal.kit.roles import SCOPES

MARK = "fp_"
LONGEST_DAYS = 365


def token_create(
    *, user: User, name: str, scopes: list[str] | None = None, expires_in_days: int = 30
) -> tuple[Token, str]:
    """Make a token; the second value is its text, which is not kept. Raises Invalid."""
    unknown = sorted(set(scopes or []) - set(SCOPES))
    if unknown:
        known = ", ".join(sorted(SCOPES))
        raise Invalid(FieldProblem("scopes", f"{unknown[0]!r} is no scope", f"Use {known}."))
    if not 1 <= expires_in_days <= LONGEST_DAYS:
        raise Invalid(FieldProblem("expires_in_days", "out of range", f"1 to {LONGEST_DAYS}."))
    prefix = secrets.token_hex(5)
    text = f"{MARK}{prefix}_{secrets.token_urlsafe(32)}"
    token = Token.objects.create(
        user=user,
        name=name,
        prefix=prefix,
        digest=_digest(text),
        scopes=sorted(set(scopes or [])),
        expires_at=timezone.now() + timedelta(days=expires_in_days),
    )
    return token, text


def token_principal(text: str) -> Principal | None:
    """The principal behind a token text, or None when it is unknown, expired or revoked."""
    if not text.startswith(MARK):
        return None
    prefix = text[len(MARK) :].partition("_")[0]
    token = Token.objects.select_related("user").filter(prefix=prefix).first()
    if token is None or not hmac.compare_digest(token.digest, _digest(text)):
        return None
    if token.revoked_at or token.expires_at <= timezone.now() or not token.user.is_active:
        return None
    return Principal(token.user, frozenset(token.scopes) or None, via=f"token {token.name}")


def token_revoke(*, principal: Principal, pk: uuid.UUID | str) -> tuple[Token, bool]:
    """Revoke one of the principal's own tokens; False when it already was. Raises Missing."""
    try:
        token = Token.objects.filter(pk=uuid.UUID(str(pk)), user=principal.user).first()
    except ValueError:
        token = None
    if token is None:
        raise Missing("There is no such token of yours.")
    now = timezone.now()
    revoked = Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now)
    token.refresh_from_db(fields=["revoked_at"])
    return token, bool(revoked)


def _digest(text: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
