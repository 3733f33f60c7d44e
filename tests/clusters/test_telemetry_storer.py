"""Scrapes on their way to the database: the newest of each cluster, several at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from clusters.models import Telemetry
from clusters.telemetry.storing import Storer
from tests.clusters.telemetry_rows import NOON, counted, reading, scrape, watched

pytestmark = pytest.mark.django_db(transaction=True)


def stored_by(fill: Callable[[Storer], None], done: Callable[[Storer], bool]) -> Storer:
    """Run a storer that was filled until it is done."""

    async def run() -> Storer:
        storer = Storer()
        fill(storer)
        task = asyncio.create_task(storer.run())
        deadline = time.monotonic() + 30
        while not done(storer):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return storer

    return asyncio.run(run())


def test_a_newer_scrape_takes_the_place_of_one_that_waits() -> None:
    cluster = watched()
    stored_by(
        lambda storer: storer.put(cluster.pk, scrape(0, {"a": reading(0)}), 7),
        lambda storer: storer.stored == 1,
    )

    def fill(storer: Storer) -> None:
        for step in (1, 2, 3):
            storer.put(cluster.pk, scrape(15 * step, {"a": reading(10 * step)}), 7)

    storer = stored_by(fill, lambda storer: storer.stored == 1)
    row = Telemetry.objects.get()
    assert row.at is not None and row.at.timestamp() == NOON + 45
    assert counted(cluster) == {45: 30}  # the one tick spans all three
    assert storer.slowest > 0


def test_every_cluster_is_stored_however_many_there_are() -> None:
    clusters = [watched(f"c{number}") for number in range(25)]

    def fill(storer: Storer) -> None:
        for cluster in clusters:
            storer.put(cluster.pk, scrape(0, {"a": reading(1)}), 7)

    stored_by(fill, lambda storer: storer.stored == len(clusters))
    assert Telemetry.objects.count() == len(clusters)


def test_a_cluster_that_was_deleted_meanwhile_costs_the_others_nothing() -> None:
    clusters = [watched(f"c{number}") for number in range(3)]
    gone = uuid4()

    def fill(storer: Storer) -> None:
        storer.put(gone, scrape(0, {"a": reading(1)}), 7)
        for cluster in clusters:
            storer.put(cluster.pk, scrape(0, {"a": reading(1)}), 7)

    storer = stored_by(fill, lambda storer: storer.stored == 3)
    assert storer.stored == 3


def test_scrapes_of_a_lost_watch_are_counted_as_lost() -> None:
    mine, other = watched("mine"), watched("other")

    def fill(storer: Storer) -> None:
        storer.put(mine.pk, scrape(0, {"a": reading(1)}), 7)
        storer.put(other.pk, scrape(0, {"a": reading(1)}), 6)

    storer = stored_by(fill, lambda storer: storer.stored + storer.lost == 2)
    assert (storer.stored, storer.lost) == (1, 1)
    assert list(Telemetry.objects.values_list("cluster__name", flat=True)) == ["mine"]
