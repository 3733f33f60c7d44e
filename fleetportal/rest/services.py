"""Tokens with their journal rows (accounts stands below the journal and cannot write them)."""

from __future__ import annotations

from django.db import transaction

from fleetportal.accounts.models import Token
from fleetportal.accounts.principal import Principal, require
from fleetportal.accounts.tokens import token_create, token_revoke
from fleetportal.journal.services import event_record
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.kit.roles import SCOPES, VERBS


def token_issue(
    *, principal: Principal, name: str, scopes: list[str], expires_in_days: int
) -> tuple[Token, str]:
    """A token of the principal's own, never wider than the principal. Raises Invalid, Forbidden."""
    require(principal, "token.own")
    if not name.strip():
        raise Invalid(FieldProblem("name", "is empty", "Say what the token is for."))
    _refuse_wider(principal, scopes)
    with transaction.atomic():
        token, text = token_create(
            user=principal.user, name=name.strip(), scopes=scopes, expires_in_days=expires_in_days
        )
        after = {"scopes": token.scopes, "expires_at": token.expires_at}
        event_record(action="token.create", obj=token, principal=principal, after=after)
    return token, text


def token_withdraw(*, principal: Principal, pk: str) -> Token:
    """Revoke a token of the principal's own. Raises Missing, Forbidden."""
    require(principal, "token.own")
    with transaction.atomic():
        token, revoked = token_revoke(principal=principal, pk=pk)
        if revoked:
            event_record(action="token.revoke", obj=token, principal=principal)
    return token


def _refuse_wider(principal: Principal, scopes: list[str]) -> None:
    if principal.scopes is None:
        return
    asked = {verb for scope in scopes for verb in SCOPES.get(scope, ())} if scopes else set(VERBS)
    beyond = sorted(verb for verb in asked if not principal.in_scope(verb))
    if beyond:
        raise Invalid(
            FieldProblem("scopes", f"go beyond this token's own ({beyond[0]})", "Ask for fewer.")
        )
