"""The portal in this process on a database of its own: settings, migrations, rows, clients.

Import this before anything of Django. The database is a file in a temporary directory that goes
with the process; there is no broker, so that a request does its own work.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

DIRECTORY = Path(tempfile.mkdtemp(prefix="fleetportal-bench-"))
atexit.register(shutil.rmtree, DIRECTORY, ignore_errors=True)
(DIRECTORY / "static").mkdir()
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "fleetportal.settings",
    "DATABASE_URL": f"sqlite:///{DIRECTORY / 'portal.sqlite3'}",
    "DATA_DIR": str(DIRECTORY),
    "FLEETPORTAL_TESTING": "1",
    "FLEETPORTAL_DEMO": "0",
    "FLEETPORTAL_KEYS": "bench:" + "dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=",
    "SECRET_KEY": "only-for-benches-" + "x" * 40,
    "REDIS_URL": "",
    "LOG_LEVEL": "WARNING",
}

import django  # noqa: E402

django.setup()

import msgspec  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from clusters.engine.credential import parse_fields  # noqa: E402
from clusters.engine.types import ClusterFacts, NodeFacts  # noqa: E402
from clusters.models import Cluster, Pool  # noqa: E402
from clusters.selectors import pack  # noqa: E402
from fleetportal.accounts.models import Membership, Team, User  # noqa: E402
from fleetportal.accounts.tokens import token_create  # noqa: E402
from fleetportal.journal.models import Event  # noqa: E402
from fleetportal.kit.crypto import keyring  # noqa: E402
from rollouts.models import Approval, Rollout  # noqa: E402
from rollouts.services.strategies import strategies_sync  # noqa: E402
from workspaces.models import (  # noqa: E402
    CatalogModel,
    Deployment,
    Plan,
    Revision,
    Workspace,
)
from workspaces.services.catalog import catalog_sync  # noqa: E402

if TYPE_CHECKING:
    from django.http import HttpResponse

BATCH = 100
NODES = 10


def migrate() -> None:
    """An empty portal with its catalog and its strategies."""
    call_command("migrate", verbosity=0)
    catalog_sync()
    strategies_sync()


def person(username: str, team: Team, role: str, fleet_role: str = "") -> User:
    user = User.objects.create_user(username, fleet_role=fleet_role)
    Membership.objects.create(user=user, team=team, role=role)
    return user


def rest(user: User) -> Client:
    """A client of the REST API with a bearer token."""
    _, text = token_create(user=user, name="bench")
    return Client(headers={"authorization": f"Bearer {text}", "host": "localhost"})


def browser(user: User) -> Client:
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    return client


def post(client: Client, path: str, body: Mapping[str, Any]) -> HttpResponse:
    answer: Any = client.post(path, data=body, content_type="application/json")
    return answer  # type: ignore[no-any-return]


def clusters_create(fleet: Iterable[ClusterFacts]) -> None:
    """Rows as the collector leaves them: packed facts, packed nodes, totals, pool rows."""
    rows = [_cluster(facts) for facts in fleet]
    Cluster.objects.bulk_create(rows, batch_size=BATCH)
    Pool.objects.bulk_create(
        [pool for facts, row in zip(fleet, rows, strict=True) for pool in _pools(facts, row)],
        batch_size=BATCH,
    )


def registered(name: str, *, server: str, ca_pem: str, token: str, uid: str) -> Cluster:
    """A row as registration leaves it, identified, without metrics; not stored yet."""
    given = parse_fields(server=server, ca_pem=ca_pem, token=token)
    row = Cluster(
        name=name,
        server=given.server,
        ca_pem=given.ca_pem,
        credential_kind="token",
        uid=uid,
        metrics={"road": "off"},
        probed_at=timezone.now(),
    )
    secret = json.dumps({"token": given.token}).encode()
    row.credential_sealed = keyring().seal(
        secret, table="clusters_cluster", pk=row.pk, field="credential"
    )
    return row


def _cluster(facts: ClusterFacts) -> Cluster:
    now = timezone.now()
    return Cluster(
        name=facts.name,
        uid=facts.uid,
        state=facts.state,
        server=f"https://{facts.name}.example:6443",
        ca_pem="-----BEGIN CERTIFICATE-----\n" + "A" * 1200,
        credential_kind="token",
        credential_sealed=b"\0" * 1200,
        environment=facts.environment,
        provider="azure",
        region=facts.region,
        labels=dict(facts.labels),
        properties=dict(facts.properties),
        simulated=True,
        capabilities=msgspec.to_builtins(facts.capabilities),
        observed_at=now,
        last_contact_at=now,
        pools_packed=pack(facts.pools),
        nodes_packed=pack(tuple(_node(facts, number) for number in range(NODES))),
        gpus_physical=sum(pool.physical or 0 for pool in facts.pools),
        gpus_allocatable=sum(pool.allocatable for pool in facts.pools),
        gpus_used=sum(pool.used for pool in facts.pools),
        gpus_free=sum(pool.free for pool in facts.pools),
        gpus_faulty=0,
    )


def _node(facts: ClusterFacts, number: int) -> NodeFacts:
    pool = facts.pools[number % len(facts.pools)]
    return NodeFacts(
        name=f"{facts.name}-{number:03}.internal",
        pool=pool.key,
        instance_type=pool.instance_type,
        ready=True,
        cordoned=False,
        physical=pool.gpus_per_node,
        allocatable=pool.gpus_per_node,
        used=number % 2,
        zone=f"{facts.region}-1",
        holders=((f"team-a/job-{number}", 1, ""),) if number % 2 else (),
    )


def _pools(facts: ClusterFacts, row: Cluster) -> Iterable[Pool]:
    return (
        Pool(
            cluster=row,
            key=pool.key,
            kind=pool.kind.value,
            gpu_model=pool.gpu_model,
            instance_type=pool.instance_type,
            slots=pool.whole_free_nodes or pool.quota_nodes or 0,
        )
        for pool in facts.pools
    )


def clear() -> None:
    """Take every row away that a bench made, but for people, catalog and strategies."""
    for model in (Event, Approval, Rollout, Workspace, Plan, Revision, Deployment, Cluster):
        model._default_manager.all().delete()
    catalog_sync()
    CatalogModel.objects.filter(slug__contains="--copy").delete()
    CatalogModel.objects.update(enabled=True)
