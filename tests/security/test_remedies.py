"""What the API refuses in a body: it names the field and says what to send instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from tests.security.matrix import url_of
from tests.security.table import ROWS
from tests.security.test_bodies import JSON, ODD, POLICY, good
from tests.security.world import NOWHERE, World

pytestmark = pytest.mark.django_db

PRICE = {
    "provider": "azure",
    "region": "weu",
    "instance_type": "Standard_NC24ads_A100_v4",
    "capacity_type": "spot",
    "usd_per_hour": 2.5,
    "source": "invoice",
    "as_of": "2026-01-31",
}
METRICS = {
    "road": "prometheus",
    "service": "monitoring/prometheus:9090",
    "url": "",
    "ca": "",
    "token": "",
    "prefix": "",
    "matchers": {"a": "b"},
}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "api-prices": ("post", PRICE),
    "api-price-import": ("post", {"csv": "a,b\n1,2", "dry_run": True}),
    "api-cluster-metrics": ("patch", METRICS),
    "api-workspace-logs": ("post", {"pod": "a", "container": "b", "previous": False}),
}
CERT = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----\nMII=\n-----END PRIVATE KEY-----"
WAYS: list[tuple[str, dict[str, Any]]] = [  # the same writes, asked in another way
    ("api-cluster-list", {"name": "fresh", "kubeconfig": "apiVersion: v1", "context": "a"}),
    (
        "api-cluster-list",
        {
            "name": "fresh",
            "server": "https://k8s.example.com",
            "ca": CERT,
            "client_cert": CERT,
            "client_key": KEY,
            "tls_server_name": "k8s",
        },
    ),
    (
        "api-cluster-metrics",
        {"road": "prometheus", "url": "https://p.example.com", "ca": CERT, "token": "t"},
    ),
    ("api-plan-list", {"deployment": NOWHERE, "replicas": 1, "policy": {"placement_type": "x"}}),
]
WHO = {"api-approval-votes": "approver"}


def writes(world: World) -> dict[str, tuple[str, dict[str, Any]]]:
    """URL name -> method, and a body that is taken or nearly so."""
    known = {
        name: ("put" if name == "api-team-secret" else "post", body)
        for name, body in good(world).items()
    }
    return {**known, **OTHERS}


def bodies(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What was done, and the body."""
    yield "an unknown field", {**body, "nonsense": 1}
    for field in body:
        yield f"no {field}", {name: value for name, value in body.items() if name != field}
        for value in ODD + (POLICY if field == "policy" else []):
            yield f"{field}={json.dumps(value)[:60]}", {**body, field: value}


NAMES = [
    *("api-plan-list", "api-deployment-list", "api-approval-votes", "api-rollout-pause"),
    *("api-deployment-prompt", "api-token-list", "api-team-secret", "api-cluster-list"),
    *("api-cluster-cordon", *OTHERS),
]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_refused_is_named_with_a_remedy(world: World, name: str) -> None:
    assert_named(world, name, *writes(world)[name])


@pytest.mark.parametrize(("name", "body"), WAYS)
def test_so_it_is_where_it_is_asked_in_another_way(
    world: World, name: str, body: dict[str, Any]
) -> None:
    assert_named(world, name, writes(world)[name][0], body)


def assert_named(world: World, name: str, method: str, body: dict[str, Any]) -> None:
    client = world.askers[WHO.get(name, "admin")].client
    url = url_of(world, name, "assist" if ROWS[name].kind else "")
    wrong: list[str] = []
    for what, sent in bodies(body):
        with transaction.atomic():
            answer = getattr(client, method)(url, json.dumps(sent), content_type=JSON)
            transaction.set_rollback(True)
        told = answer.json() if answer.content else {}
        if answer.status_code >= 500:
            wrong.append(f"{what}: {answer.status_code}")
        if what == "an unknown field" and answer.status_code != 422:
            wrong.append(f"{what}: {answer.status_code}")
        for row in told.get("errors", ()):
            if not row["field"] or not row["remedy"]:
                wrong.append(f"{what}: {row}")
    assert not wrong, "\n".join(wrong)
