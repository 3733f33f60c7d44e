"""Rows that are made once: as the ORM makes them, again when they differ, for who may see them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clusters.models import Cluster
from clusters.selectors.roster import COLUMNS, roster
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from tests.engine.placement_world import story
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet

MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def rows(people: People) -> list[Cluster]:
    make_fleet(story())
    return list(Cluster.objects.managed().order_by("name"))


def read(user: User) -> list[Cluster]:
    return roster(Principal(user))


def test_rows_are_those_that_the_orm_makes(rows: list[Cluster], people: People) -> None:
    found = read(people.operator)
    assert [row.name for row in found] == [row.name for row in rows]
    for ours, theirs in zip(found, rows, strict=True):
        for name in COLUMNS:
            mine, other = getattr(ours, name), getattr(theirs, name)
            assert mine == other, name
            assert isinstance(mine, type(other)), name


def test_a_row_is_made_again_only_when_it_changed(rows: list[Cluster], people: People) -> None:
    before = read(people.operator)
    Cluster.objects.filter(pk=rows[0].pk).update(cordoned=not rows[0].cordoned)
    Cluster.objects.filter(pk=rows[1].pk).update(labels={"not": "read"})
    after = read(people.operator)
    assert after[0].cordoned is not rows[0].cordoned
    assert [new is old for new, old in zip(after, before, strict=True)].count(False) == 1


def test_moments_are_those_of_now_in_whole_seconds(rows: list[Cluster], people: People) -> None:
    read(people.operator)
    seen = MOMENT.replace(microsecond=900_000)
    Cluster.objects.filter(pk=rows[0].pk).update(observed_at=seen, last_contact_at=None)
    row = read(people.operator)[0]
    assert (row.observed_at, row.last_contact_at) == (MOMENT, None)


def test_a_cluster_that_is_not_granted_is_in_nobodys_rows(
    rows: list[Cluster], people: People
) -> None:
    read(people.operator)  # what is kept of it is for others
    Cluster.objects.filter(pk=rows[0].pk).update(open_to_all=False)
    assert rows[0].grants.count() == 0
    assert [row.name for row in read(people.viewer)] == [row.name for row in rows[1:]]
