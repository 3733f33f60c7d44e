"""What the demo starts with: people, teams, catalog, strategies, and the clusters registered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from clusters.engine.credential import parse_fields
from clusters.engine.inventory import Quota
from clusters.models import Cluster
from clusters.services.registration import Registration, cluster_cordon, cluster_register
from fleetportal.accounts.models import Membership, Team, User
from fleetportal.accounts.principal import Principal
from rollouts.engine.types import ApprovalMode, StageSpec, StrategySpec
from rollouts.models import Strategy
from rollouts.services.strategies import strategies_sync
from workspaces.engine.types import Requirement
from workspaces.services.catalog import catalog_sync

TEAMS = (("assist", "Assist"), ("risk", "Risk"))
COLLEAGUE = "dana"
# user -> fleet role, team roles
PEOPLE: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "engineer": ("", (("assist", "engineer"),)),
    "approver": ("", (("assist", "approver"), ("risk", "approver"))),
    "operator": ("operator", ()),
    "admin": ("admin", ()),
}


def people_seed(password: str) -> None:
    """Teams and the four demo accounts, which exist only here; and a colleague of the other team,
    who asks for what is hers and cannot sign in."""
    teams = {slug: Team.objects.create(slug=slug, name=name) for slug, name in TEAMS}
    colleague = User(username=COLLEAGUE)
    colleague.set_unusable_password()
    colleague.save()
    Membership.objects.create(user=colleague, team=teams["risk"], role="engineer")
    for username, (fleet_role, roles) in PEOPLE.items():
        user = User.objects.create_user(
            username, password=password, fleet_role=fleet_role, is_demo=True
        )
        Membership.objects.bulk_create(
            [Membership(user=user, team=teams[team], role=role) for team, role in roles]
        )


def catalog_seed() -> None:
    """What ships, and two strategies of the demo's own: the story is about them."""
    catalog_sync()
    strategies_sync()
    staging = Requirement("environment", "In", ("test", "staging"))
    watched = StageSpec("watch", (staging,), soak_seconds=1800)
    notice = StageSpec("all", approval=ApprovalMode.BEFORE, approval_ttl_seconds=20)
    for slug, name, description, stage in (
        ("watched", "Watched for half an hour", "Test and staging only, 30 min of soak.", watched),
        ("short-notice", "Short notice", "An approval that lapses after 20 s.", notice),
    ):
        spec = msgspec.to_builtins(StrategySpec(stages=(stage,)))
        Strategy.objects.create(slug=slug, name=name, description=description, spec=spec)


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
