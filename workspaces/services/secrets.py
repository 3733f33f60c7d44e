"""Team secrets: written, used at apply time, never read back by a person."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import Principal, require
from fleetportal.journal.services import event_record
from fleetportal.kit.crypto import Secret, keyring
from fleetportal.kit.errors import FieldProblem, Invalid
from workspaces.models import TeamSecret

TABLE = "workspaces_teamsecret"


def secret_set(*, principal: Principal, team: Team, value: str) -> TeamSecret:
    """Store or replace the team's Hugging Face token. Raises Invalid, Forbidden."""
    require(principal, "secret.write", team)
    value = value.strip()
    if not 8 <= len(value) <= 500 or not value.isascii() or not value.isprintable():
        problem = FieldProblem("value", "does not look like a token", "Paste the hf_… token.")
        raise Invalid(problem)
    with transaction.atomic():
        secret = TeamSecret.objects.filter(team=team).first() or TeamSecret(team=team)
        secret.set_by = principal.user
        secret.sealed = keyring().seal(value.encode(), table=TABLE, pk=secret.pk, field="sealed")
        if not secret._state.adding:
            secret.version = F("version") + 1
        secret.save()
        event_record(action="secret.set", obj=secret, principal=principal)
    secret.refresh_from_db()
    return secret


def secret_open(*, team_id: int) -> Secret | None:
    """The team's token for a worker that applies it, or None where the team has none."""
    secret = TeamSecret.objects.filter(team_id=team_id).first()
    if secret is None:
        return None
    opened = keyring().open(bytes(secret.sealed), table=TABLE, pk=secret.pk, field="sealed")
    return Secret(opened.decode())
