"""What the demo starts with: tables, people, catalog, strategies, and the clusters registered."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import django
import msgspec
from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection

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


FLEET_SECONDS = 60.0


def tables_make(folder: Path) -> None:
    """The tables: by the migrations, or copied from `folder`, where an earlier run left them."""
    kept = folder / f"tables-{_recipe()}.sqlite3"
    if kept.exists():
        shutil.copyfile(kept, settings.DATABASES["default"]["NAME"])
        return
    call_command("migrate", interactive=False, verbosity=0)
    for old in folder.glob("tables-*"):
        old.unlink()
    fresh = kept.with_suffix(".new")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(fresh)])
    fresh.rename(kept)


def _recipe() -> str:
    """What decides how the tables look."""
    found = hashlib.sha256(django.__version__.encode())
    for app in apps.get_app_configs():
        for path in sorted(Path(app.path).glob("migrations/*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def fleet_wait(ready: Path) -> None:
    """Until the simulated fleet has said that it listens. Raises TimeoutError."""
    deadline = time.monotonic() + FLEET_SECONDS
    while not ready.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {ready} after {FLEET_SECONDS:.0f} s")
        time.sleep(0.02)


def people_seed(password: str) -> None:
    """Teams and the four demo accounts, which exist only here; and a colleague of the other team,
    who asks for what is hers and cannot sign in."""
    teams = {slug: Team.objects.create(slug=slug, name=name) for slug, name in TEAMS}
    hashed = make_password(password)  # slow on purpose, and the same for all four
    colleague = User(username=COLLEAGUE)
    colleague.set_unusable_password()
    colleague.save()
    Membership.objects.create(user=colleague, team=teams["risk"], role="engineer")
    for username, (fleet_role, roles) in PEOPLE.items():
        user = User.objects.create(
            username=username, password=hashed, fleet_role=fleet_role, is_demo=True
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
