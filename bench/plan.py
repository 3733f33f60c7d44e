"""The whole POST of a plan at 1,000 clusters x 8 pools, as a client of the REST API sends it.

The floor reads the same rows with the bare driver, decodes the same bytes, makes the one numpy
pass and writes an answer of the same size; it explains nothing and keeps nothing.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
import numpy as np
import orjson
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench import placement, portal
from bench.report import Line, ms, pair
from clusters.engine.types import PoolFacts
from fleetportal.accounts.models import User
from workspaces.engine import kernel, sizing, table
from workspaces.engine.kernel import Ints
from workspaces.engine.types import Demand, Policy, Situation
from workspaces.models import CatalogModel, Plan
from workspaces.selectors.verdicts import verdicts_of
from workspaces.services.facts import model_spec

PATH = "/api/v1/plans/"
MODEL = "microsoft/Phi-4-mini-instruct"
ASKED = {"name": "phi", "model": MODEL, "replicas": 3}
MOST_MS, MOST_QUERIES, ROUNDS = 150.0, 12, 12
STATEMENTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
ROWS = (
    "SELECT id, name, uid, state, observed_at, environment, region, capabilities, labels, "
    "pools_packed FROM clusters_cluster WHERE state <> 'retired' ORDER BY name"
)
_pools = msgspec.msgpack.Decoder(tuple[PoolFacts, ...])


def lines(asker: User) -> list[Line]:
    """Raises AssertionError when portal and floor do not reject the same clusters."""
    facts = placement.fleet()
    portal.clusters_create(facts)
    client = portal.rest(asker)
    first = orjson.loads(_ask(client))
    assert first["state"] == "ready", first["blocked_reason"]
    floor = _Floor(facts, first["verdicts"])
    np.testing.assert_array_equal(
        [one.verdict != "rejected" for one in verdicts_of(Plan.objects.get(pk=first["id"]))],
        floor.answer() >= 0,
    )
    with CaptureQueriesContext(connection) as found:
        _ask(client)
    queries = sum(one["sql"].startswith(STATEMENTS) for one in found)
    ours, theirs = pair(lambda: _ask(client), floor.answer, ROUNDS)
    what = f"plan POST, {len(facts):,} clusters x {placement.POOLS} pools"
    return [
        Line(
            f"{what}: wall",
            ms(ours.wall),
            ms(theirs.wall),
            ours.wall / theirs.wall,
            f"<= {MOST_MS:g} ms",
            ours.wall <= MOST_MS,
        ),
        Line(
            f"{what}: CPU",
            ms(ours.cpu),
            ms(theirs.cpu),
            ours.cpu / theirs.cpu,
            f"<= {MOST_MS:g} ms",
            ours.cpu <= MOST_MS,
        ),
        Line(
            f"{what}: queries",
            str(queries),
            "1",
            None,
            f"<= {MOST_QUERIES}",
            queries <= MOST_QUERIES,
        ),
    ]


def _ask(client: Client) -> bytes:
    """The answer; reading it is its client's work."""
    answer = portal.post(client, PATH, ASKED)
    assert answer.status_code == 201, answer.content[:500]
    return bytes(answer.content)


class _Floor:
    def __init__(self, facts: list[Any], verdicts: list[Any]) -> None:
        model = model_spec(CatalogModel.objects.get(hf_id=MODEL))
        demand = Demand(model, ASKED["replicas"], None, "bench", Policy())  # type: ignore[arg-type]
        self.fields = table.build(demand, facts, Situation(), sizing.estimate)
        self.asked = kernel.Ask(self.fields.nodes, -np.inf, np.inf, np.inf)
        self.able = np.array([c.state == "ready" for c in self.fields.clusters], dtype=np.bool_)
        self.driver = sqlite3.connect(portal.DIRECTORY / "portal.sqlite3")
        self.verdicts = verdicts

    def answer(self) -> Ints:
        rows = self.driver.execute(ROWS).fetchall()
        assert all(_pools.decode(row[-1]) for row in rows)
        totals = placement.floor(self.fields, self.asked, self.able).totals
        orjson.dumps(self.verdicts)
        return totals
