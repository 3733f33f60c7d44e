"""By which road a cluster's metrics are read: what an operator says, judged and stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from django.conf import settings
from django.db import transaction

from clusters.engine.raw import mapping
from clusters.models import Cluster, Telemetry
from clusters.selectors.metrics import ROADS, SERVICE, MetricsSettings, metrics_of
from fleetportal.accounts.principal import Principal, require
from fleetportal.journal.services import event_record
from fleetportal.kit import net
from fleetportal.kit.crypto import Unreadable, keyring
from fleetportal.kit.errors import FieldProblem, Invalid, Permanent, PortalError

_PREFIX = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,39}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
MOST_MATCHERS = 10


def metrics_configure(
    *,
    principal: Principal,
    cluster: Cluster,
    wanted: MetricsSettings,
    token: str | None = None,
) -> None:
    """Store the road. `token` None: keep the one that is stored; "": forget it.

    Raises Invalid naming the field. The past is read again when the Prometheus is another one.
    """
    require(principal, "cluster.register")
    _validate(wanted, token)
    before = metrics_of(cluster)
    wanted = replace(wanted, found=before.found)
    other = (before.service, before.url) != (wanted.service, wanted.url)
    fields: dict[str, Any] = {"metrics": _stored(wanted), "version": cluster.version + 1}
    if token is not None or before.url != wanted.url:  # a token never goes to another address
        fields["metrics_token_sealed"] = _sealed(cluster, token) if token else b""
    with transaction.atomic():
        Cluster.objects.filter(pk=cluster.pk).update(**fields)
        if other:
            Telemetry.objects.filter(cluster=cluster).update(backfilled_to=None, backfill_from=None)
        event_record(
            action="cluster.metrics_configured",
            obj=cluster,
            principal=principal,
            before=_shown(before),
            after=_shown(wanted),
        )
    cluster.refresh_from_db(fields=list(fields))


def prometheus_found(*, cluster: Cluster, service: str) -> None:
    """A Prometheus was seen on the cluster; from now on the past is read from it. "": the one that
    was seen is gone."""
    metrics = {key: value for key, value in mapping(cluster.metrics).items() if key != "found"}
    if service:
        metrics["found"] = service
    rows = Cluster.objects.filter(pk=cluster.pk, metrics=cluster.metrics)
    if rows.update(metrics=metrics):
        cluster.metrics = metrics


def token_of(cluster: Cluster) -> str:
    """The bearer token of an external Prometheus; "" without one. Raises Permanent."""
    sealed = bytes(cluster.metrics_token_sealed)
    if not sealed:
        return ""
    try:
        found = keyring().open(
            sealed, table="clusters_cluster", pk=cluster.pk, field="metrics_token"
        )
    except Unreadable as error:
        raise Permanent(
            f"The token for the Prometheus of {cluster.name} cannot be opened: {error}.",
            remedy="Check FLEETPORTAL_KEYS, or give the token again.",
        ) from error
    return found.decode()


def _sealed(cluster: Cluster, token: str) -> bytes:
    ring = keyring()
    return ring.seal(token.encode(), table="clusters_cluster", pk=cluster.pk, field="metrics_token")


def _stored(wanted: MetricsSettings) -> dict[str, Any]:
    prometheus = {"service": wanted.service, "url": wanted.url, "ca_pem": wanted.ca_pem}
    held = {
        "road": wanted.road,
        "prometheus": {key: value for key, value in prometheus.items() if value},
        "prefix": wanted.prefix,
        "matchers": dict(wanted.matchers),
        "found": wanted.found,
    }
    return {key: value for key, value in held.items() if value}


def _shown(metrics: MetricsSettings) -> dict[str, Any]:
    held = asdict(metrics)
    return {key: value for key, value in held.items() if value and key != "ca_pem"}


def _validate(wanted: MetricsSettings, token: str | None) -> None:
    problems = [problem for problem in _problems(wanted, token) if problem]
    if problems:
        raise Invalid(problems)


def _problems(wanted: MetricsSettings, token: str | None) -> list[FieldProblem | None]:
    return [
        None
        if wanted.road in ROADS
        else FieldProblem("road", "is none", f"Choose {', '.join(ROADS)}."),
        _where(wanted),
        None
        if not wanted.prefix or _PREFIX.fullmatch(wanted.prefix)
        else FieldProblem("prefix", "cannot start a metric's name", "Write one like kserve_."),
        _matchers(wanted.matchers),
        _token(wanted, token),
        _certificate(wanted),
    ]


def _where(wanted: MetricsSettings) -> FieldProblem | None:
    if wanted.service and wanted.url:
        return FieldProblem("url", "was given beside a service", "Give one of the two.")
    if wanted.service and not SERVICE.fullmatch(wanted.service):
        return FieldProblem("service", "is no service", "Write namespace/name:port.")
    if wanted.url:
        return _address(wanted.url)
    if wanted.road == "prometheus" and not wanted.service:
        return FieldProblem(
            "service", "is empty", "Write namespace/name:port, or give an address below."
        )
    return None


def _address(url: str) -> FieldProblem | None:
    if len(url) > 300:
        return FieldProblem("url", "has more than 300 characters", "Give https://host:port.")
    if not url.isascii() or not url.isprintable() or " " in url:
        return FieldProblem("url", "holds characters of no address", "Give https://host:port.")
    try:
        net.endpoint(url, allow_loopback=settings.ALLOW_LOOPBACK_CLUSTERS)
    except PortalError as error:
        return FieldProblem("url", error.message, error.remedy or "Use the Prometheus' address.")
    return None


def _matchers(matchers: Mapping[str, str]) -> FieldProblem | None:
    if len(matchers) > MOST_MATCHERS:
        return FieldProblem("matchers", f"are more than {MOST_MATCHERS}", "Keep the few needed.")
    for key, value in matchers.items():
        if not _LABEL.fullmatch(key) or not 0 < len(value) <= 200 or not value.isprintable():
            return FieldProblem("matchers", f"{key[:40]!r} is none", "Write label=value.")
    return None


def _token(wanted: MetricsSettings, token: str | None) -> FieldProblem | None:
    if not token:
        return None
    if not wanted.url:
        return FieldProblem("token", "is for an address only", "A service is read as the portal.")
    if _TOKEN.fullmatch(token):
        return None
    return FieldProblem("token", "has characters of no token", "Paste it alone, on one line.")


def _certificate(wanted: MetricsSettings) -> FieldProblem | None:
    if not wanted.ca_pem:
        return None
    if len(wanted.ca_pem) > 65_536 or "-----BEGIN CERTIFICATE-----" not in wanted.ca_pem:
        return FieldProblem("ca", "is no certificate", "Paste PEM, or leave it for a public one.")
    return None
