"""List pages and list endpoints: queries with 3, 30 and 300 rows, and time for one page of rows.

The floor reads the rows of one page with the bare driver and writes them by f-strings (or orjson)
without a shell around them, without chips, ages or links.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import orjson
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from bench import portal
from bench.placement import fleet
from bench.report import Line, ms, pair
from bench.rows import catalog_keep, deployments_create
from clusters.models import Cluster
from fleetportal.accounts.models import Team, User
from workspaces.models import Deployment

SIZES = (3, 30, 300)
FITS_A_PAGE = 30
SHOWN = 50
MOST_MS, ROUNDS = 20.0, 10


@dataclass(frozen=True, slots=True)
class Listed:
    """A list: its page, its endpoint, and what the floor reads of it."""

    page: str
    endpoint: str
    sql: str


LISTS = (
    Listed(
        "catalog",
        "api-model-list",
        "SELECT name, hf_id, publisher, licence, weights_gib, context_limit, facts "
        "FROM workspaces_catalogmodel WHERE enabled ORDER BY name",
    ),
    Listed(
        "deployments",
        "api-deployment-list",
        "SELECT d.name, d.state, d.created_at, t.slug, "
        "(SELECT count(*) FROM workspaces_workspace w WHERE w.deployment_id = d.id) "
        "FROM workspaces_deployment d JOIN accounts_team t ON t.id = d.team_id ORDER BY d.name",
    ),
    Listed(
        "rollouts",
        "api-rollout-list",
        "SELECT d.name, r.state, r.created_at, r.waiting_for, t.slug, "
        "(SELECT group_concat(s.state) FROM rollouts_stage s WHERE s.rollout_id = r.id) "
        "FROM rollouts_rollout r JOIN workspaces_deployment d ON d.id = r.deployment_id "
        "JOIN accounts_team t ON t.id = r.team_id ORDER BY r.created_at DESC",
    ),
    Listed(
        "approvals",
        "api-approval-list",
        "SELECT d.name, a.state, a.created_at, a.expires_at, t.slug FROM rollouts_approval a "
        "JOIN rollouts_rollout r ON r.id = a.rollout_id "
        "JOIN workspaces_deployment d ON d.id = r.deployment_id "
        "JOIN accounts_team t ON t.id = a.team_id ORDER BY a.created_at DESC",
    ),
    Listed(
        "clusters",
        "api-cluster-list",
        "SELECT name, state, environment, region, provider, gpus_free, gpus_used, pools_packed, "
        "observed_at FROM clusters_cluster ORDER BY name",
    ),
    Listed(
        "audit",
        "api-event-list",
        'SELECT object_name, at, actor_name, action, object_type, reason, "after" '
        "FROM journal_event ORDER BY at DESC, id DESC",
    ),
)


def lines(asker: User, team: Team) -> list[Line]:
    """Raises AssertionError when a list shows other rows than the floor read."""
    html, rest = portal.browser(asker), portal.rest(asker)
    counts: dict[str, list[int]] = {}
    for size in SIZES:
        _grow(size, asker, team)
        for listed in LISTS:
            for client, name in ((html, listed.page), (rest, listed.endpoint)):
                counts.setdefault(name, []).append(_queries(client, reverse(name)))
                if size == FITS_A_PAGE:
                    _same_rows(client, name, listed)
    found = []
    for listed in LISTS:
        for client, name in ((html, listed.page), (rest, listed.endpoint)):
            found += [_counted(name, counts[name]), _timed(client, name, listed)]
    return found


def _grow(size: int, asker: User, team: Team) -> None:
    facts = fleet(size)
    portal.clusters_create(facts[Cluster.objects.count() :])
    catalog_keep(size)
    clusters = list(Cluster.objects.order_by("name"))
    missing = size - Deployment.objects.count()
    deployments_create(missing, team=team, asker=asker, clusters=clusters)


def _queries(client: Client, path: str) -> int:
    client.get(path)
    with CaptureQueriesContext(connection) as found:
        assert client.get(path).status_code == 200
    return len(found)


def _same_rows(client: Client, name: str, listed: Listed) -> None:
    """Where all rows fit on a page, it names each that the floor reads."""
    body = client.get(reverse(name)).content.decode()
    driver = sqlite3.connect(portal.DIRECTORY / "portal.sqlite3")
    missing = [row[0] for row in driver.execute(listed.sql) if escape(row[0]) not in body]
    assert not missing, f"{name} does not show {missing[:3]}"


def _what(name: str) -> str:
    return f"GET {reverse(name)}"


def _counted(name: str, counts: list[int]) -> Line:
    shown = "/".join(str(count) for count in counts)
    sizes = "/".join(str(size) for size in SIZES)
    return Line(
        f"{_what(name)}: queries, {sizes} rows", shown, "", None, "equal", len(set(counts)) == 1
    )


def _timed(client: Client, name: str, listed: Listed) -> Line:
    path = reverse(name)
    is_page = name == listed.page
    driver = sqlite3.connect(portal.DIRECTORY / "portal.sqlite3")
    floor = _floor(driver, f"{listed.sql} LIMIT {SHOWN}", is_page)
    ours, theirs = pair(lambda: client.get(path), floor, ROUNDS, inner=3)
    return Line(
        f"{_what(name)}: one page of {SIZES[-1]} rows",
        ms(ours.cpu),
        ms(theirs.cpu),
        ours.cpu / theirs.cpu,
        f"<= {MOST_MS:g} ms",
        ours.cpu <= MOST_MS,
    )


def _floor(driver: sqlite3.Connection, sql: str, is_page: bool) -> Callable[[], object]:
    def page() -> str:
        return "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in driver.execute(sql)
        )

    def rest() -> bytes:
        def plain(row: tuple[Any, ...]) -> list[Any]:
            return [len(cell) if isinstance(cell, bytes) else cell for cell in row]

        return orjson.dumps([plain(row) for row in driver.execute(sql)])

    return page if is_page else rest
