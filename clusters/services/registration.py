"""Bringing a cluster under management, changing how it is reached, and letting it go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import orjson
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from clusters.engine.inventory import Quota as QuotaFacts
from clusters.engine.kubeconfig import ClusterCredential
from clusters.models import Check, Cluster, ClusterGrant, Quota
from clusters.services.checks import check_request
from clusters.services.moments import moment_store
from clusters.states import CLUSTER
from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import Principal, require
from fleetportal.journal.services import event_record
from fleetportal.kit import net
from fleetportal.kit.crypto import keyring
from fleetportal.kit.errors import FieldProblem, Invalid, PortalError, Refused
from fleetportal.kit.states import move

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
RESERVED = frozenset({"register"})  # its page would be another one's

LONGEST_REASON = 300  # characters; the columns' widths
LONGEST = {"environment": 40, "region": 60, "provider": 20}

# Apps above say why a cluster cannot go; this app cannot know what they keep on it.
in_use: list[Callable[[Cluster], str]] = []


@dataclass(frozen=True, slots=True)
class Registration:
    """What an operator says of a cluster. `grants` None: open to every team."""

    name: str
    credential: ClusterCredential
    environment: str = ""
    region: str = ""
    provider: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    grants: tuple[str, ...] | None = None
    quotas: tuple[QuotaFacts, ...] = ()
    simulated: bool = False


def cluster_register(*, principal: Principal, registration: Registration) -> tuple[Cluster, Check]:
    """Store the cluster in state Joining and ask a worker to connect. Raises Invalid, Forbidden."""
    require(principal, "cluster.register")
    _validate(registration)
    teams = _teams(registration.grants)
    credential = registration.credential
    cluster = Cluster(
        name=registration.name,
        server=credential.server,
        ca_pem=credential.ca_pem,
        tls_server_name=credential.tls_server_name,
        credential_kind=credential.kind,
        environment=registration.environment,
        region=registration.region,
        provider=registration.provider,
        labels=dict(registration.labels),
        simulated=registration.simulated,
        open_to_all=registration.grants is None,
    )
    cluster.credential_sealed = _seal(cluster, credential)
    try:
        with transaction.atomic():
            cluster.save(force_insert=True)
            ClusterGrant.objects.bulk_create(
                [ClusterGrant(cluster=cluster, team=team) for team in teams]
            )
            _declare(cluster, registration.quotas)
            moment_store(cluster=cluster, at=cluster.created_at)
            event_record(
                action="cluster.registered",
                obj=cluster,
                principal=principal,
                after={"server": cluster.server, "state": cluster.state},
            )
            check = check_request(kind="clusters.connection", cluster=cluster, principal=principal)
    except IntegrityError as error:
        taken = FieldProblem("name", f"{registration.name} is taken", "Choose another name.")
        raise Invalid(taken) from error
    return cluster, check


def cluster_credential_replace(
    *, principal: Principal, cluster: Cluster, credential: ClusterCredential
) -> Check:
    """Use another credential from now on. The cluster must still be the same one (its UID)."""
    require(principal, "cluster.register")
    check_address(credential.server)
    sealed = _seal(cluster, credential)
    with transaction.atomic():
        cluster.server, cluster.ca_pem = credential.server, credential.ca_pem
        cluster.tls_server_name = credential.tls_server_name
        cluster.credential_kind = credential.kind
        cluster.credential_sealed = sealed
        cluster.credential_version += 1
        cluster.save(
            update_fields=[
                "server",
                "ca_pem",
                "tls_server_name",
                "credential_kind",
                "credential_sealed",
                "credential_version",
            ]
        )
        event_record(action="cluster.credential_replaced", obj=cluster, principal=principal)
        return check_request(kind="clusters.connection", cluster=cluster, principal=principal)


def cluster_cordon(
    *, principal: Principal, cluster: Cluster, reason: str, cordoned: bool = True
) -> None:
    """Keep new workloads off the cluster, or let them on again. What runs stays."""
    require(principal, "cluster.cordon")
    if cordoned and not reason.strip():
        raise Invalid(FieldProblem("reason", "is empty", "Say why, for the people it stops."))
    if len(reason) > LONGEST_REASON:
        raise Invalid(
            FieldProblem("reason", f"has more than {LONGEST_REASON} characters", "Shorten it.")
        )
    if cluster.cordoned == cordoned:
        return
    with transaction.atomic():
        Cluster.objects.filter(pk=cluster.pk).update(
            cordoned=cordoned,
            cordon_reason=reason.strip() if cordoned else "",
            version=cluster.version + 1,
        )
        event_record(
            action="cluster.cordoned" if cordoned else "cluster.uncordoned",
            obj=cluster,
            principal=principal,
            reason=reason,
            before={"cordoned": cluster.cordoned},
            after={"cordoned": cordoned},
        )
        moment_store(cluster=cluster, at=timezone.now())
    cluster.refresh_from_db(fields=["cordoned", "cordon_reason", "version"])


def cluster_remove(*, principal: Principal, cluster: Cluster) -> None:
    """Stop managing the cluster; nothing on it is touched. Raises Refused while it is in use."""
    require(principal, "cluster.remove")
    for reason in filter(None, (ask(cluster) for ask in in_use)):
        raise Refused(reason, remedy="Delete or move those deployments first.", type_="in-use")
    with transaction.atomic():
        move(
            cluster,
            "retired",
            machine=CLUSTER,
            actor=principal,
            reason="Removed from management",
            credential_sealed=b"",
            credential_version=cluster.credential_version + 1,
        )
        moment_store(cluster=cluster, at=timezone.now())


def quotas_declare(*, principal: Principal, cluster: Cluster, quotas: Iterable[QuotaFacts]) -> None:
    """Say how many nodes of which types may be provisioned here; replaces what was said before."""
    require(principal, "cluster.register")
    declared = tuple(quotas)
    with transaction.atomic():
        before = {q.instance_type: q.nodes for q in cluster.quotas.all()}
        cluster.quotas.all().delete()
        _declare(cluster, declared)
        event_record(
            action="cluster.quota_declared",
            obj=cluster,
            principal=principal,
            before=before,
            after={q.instance_type: q.nodes for q in declared},
        )


def check_address(server: str) -> None:
    """Refuse an API server address that the portal must not talk to. Raises Invalid."""
    try:
        net.endpoint(server, allow_loopback=settings.ALLOW_LOOPBACK_CLUSTERS)
    except PortalError as error:
        remedy = error.remedy or "Use the address of the API server."
        raise Invalid(FieldProblem("server", error.message, remedy)) from error


def _validate(registration: Registration) -> None:
    if not NAME.fullmatch(registration.name):
        raise Invalid(
            FieldProblem(
                "name",
                "is not a DNS label",
                "Use up to 63 lower-case letters, digits and hyphens.",
            )
        )
    if registration.name in RESERVED:
        raise Invalid(
            FieldProblem("name", f"{registration.name} is a page's name", "Choose another name.")
        )
    for field_name, most in LONGEST.items():
        if len(getattr(registration, field_name)) > most:
            raise Invalid(
                FieldProblem(field_name, f"has more than {most} characters", "Shorten it.")
            )
    check_address(registration.credential.server)


def _teams(grants: tuple[str, ...] | None) -> list[Team]:
    if grants is None:
        return []
    teams = list(Team.objects.filter(slug__in=grants))
    unknown = sorted(set(grants) - {team.slug for team in teams})
    if unknown:
        raise Invalid(FieldProblem("grants", f"{unknown[0]!r} is no team", "Use a team's slug."))
    return teams


def _declare(cluster: Cluster, quotas: Iterable[QuotaFacts]) -> None:
    Quota.objects.bulk_create(
        [
            Quota(
                cluster=cluster,
                instance_type=quota.instance_type,
                nodes=quota.nodes,
                capacity_type=quota.capacity_type,
                source="operator",
            )
            for quota in quotas
        ]
    )


def _seal(cluster: Cluster, credential: ClusterCredential) -> bytes:
    secret = {
        "token": credential.token,
        "client_cert_pem": credential.client_cert_pem,
        "client_key_pem": credential.client_key_pem,
    }
    return keyring().seal(
        orjson.dumps(secret), table="clusters_cluster", pk=cluster.pk, field="credential"
    )
