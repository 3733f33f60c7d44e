"""From `kubectl` on a cluster to the names that open pages are told."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fleetportal.kit import news
from tests.fleet import harness
from tests.process.stack import Redis
from tests.simfleet import SimFleet
from tests.support import People, make_people

EDITS = 8
SETTLES = 5.0  # seconds; a machine that runs the whole suite is slow, `make bench` is for figures


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    started = SimFleet.start(tmp_path_factory.mktemp("fleet"))
    yield started
    started.stop()


@pytest.fixture
def everybody(transactional_db: None) -> People:
    return make_people()


def heard_of(line: Any, topic: str, seconds: float) -> float | None:
    """When (monotonic) a message named the topic."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        message = line.get_message(ignore_subscribe_messages=True, timeout=0.05)
        if message and topic in json.loads(message["data"]):
            return time.monotonic()
    return None


def test_a_node_that_is_cordoned_is_news_of_its_cluster_within_moments(
    sim: SimFleet,
    everybody: People,
    redis: Redis,
    record_property: Any,
) -> None:
    connection: Any = news.connection(redis.url)
    line = connection.pubsub()
    line.subscribe(news.channel())
    with harness.running(sim, everybody) as portal:
        cluster = portal.add()
        node = cluster.objects("Node", "")[0]["metadata"]["name"]
        topic = f"cluster:{portal.row(cluster).pk}"
        took = []
        for number in range(EDITS):
            while heard_of(line, topic, 0.6) is not None:
                pass  # what else happens there: the next change is to be its only news
            begun = time.monotonic()
            cluster.edit("Node", "", node, {"spec": {"unschedulable": number % 2 == 0}})
            heard = heard_of(line, topic, SETTLES)
            assert heard is not None
            took.append(heard - begun)
    record_property("median_seconds", round(statistics.median(took), 3))
    record_property("most_seconds", round(max(took), 3))
