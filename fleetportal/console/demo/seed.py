"""What the demo starts with: people, teams, catalog, strategies, and the clusters registered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clusters.engine.credential import parse_fields
from clusters.engine.inventory import Quota
from clusters.models import Cluster
from clusters.services.registration import Registration, cluster_cordon, cluster_register
from fleetportal.accounts.models import Membership, Team, User
from fleetportal.accounts.principal import Principal
from rollouts.services.strategies import strategies_sync
from workspaces.services.catalog import catalog_sync

TEAMS = (("assist", "Assist"), ("risk", "Risk"))
# user -> fleet role, team roles
PEOPLE: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "engineer": ("", (("assist", "engineer"),)),
    "approver": ("", (("assist", "approver"), ("risk", "approver"))),
    "operator": ("operator", ()),
    "admin": ("admin", ()),
}


def people_seed(password: str) -> None:
    """Teams and the four demo accounts; they exist only here."""
    teams = {slug: Team.objects.create(slug=slug, name=name) for slug, name in TEAMS}
    for username, (fleet_role, roles) in PEOPLE.items():
        user = User.objects.create_user(
            username, password=password, fleet_role=fleet_role, is_demo=True
        )
        Membership.objects.bulk_create(
            [Membership(user=user, team=teams[team], role=role) for team, role in roles]
        )


def catalog_seed() -> None:
    catalog_sync()
    strategies_sync()


def clusters_seed(path: Path) -> int:
    """Register every cluster of the simulated fleet as an operator would. How many."""
    operator = Principal(User.objects.get(username="operator"), via="command")
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    for entry in entries:
        _register(operator, entry)
    return len(entries)


def _register(operator: Principal, entry: dict[str, Any]) -> None:
    credential = parse_fields(server=entry["server"], ca_pem=entry["ca_pem"], token=entry["token"])
    registration = Registration(
        name=entry["name"],
        credential=credential,
        environment=entry.get("environment", ""),
        region=entry.get("region", ""),
        provider=entry.get("provider", ""),
        labels=entry.get("labels", {}),
        grants=tuple(entry["grants"]) if entry.get("grants") else None,
        quotas=tuple(
            Quota(quota["instance_type"], quota["nodes"], quota.get("capacity_type", "on-demand"))
            for quota in entry.get("quotas", ())
        ),
        simulated=True,
    )
    cluster: Cluster = cluster_register(principal=operator, registration=registration)[0]
    if entry.get("cordoned"):
        cluster_cordon(principal=operator, cluster=cluster, reason=entry["cordon_reason"])
