"""News: told after the commit, never in the way of the work, with versions that never come back."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.db import transaction

from clusters.models import Cluster
from clusters.states import CLUSTER
from fleetportal.kit import news
from fleetportal.kit.states import move
from tests.clusters.rows import make_cluster
from tests.process.stack import Redis


def heard(line: Any) -> list[str]:
    """The names of the next message, or []."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        message = line.get_message(ignore_subscribe_messages=True, timeout=0.2)
        if message:
            return list(json.loads(message["data"]))
    return []


@pytest.fixture
def line(redis: Redis) -> Any:
    connection: Any = news.connection(redis.url)
    subscribed = connection.pubsub()
    subscribed.subscribe(news.channel())
    assert subscribed.get_message(timeout=2)
    return subscribed


@pytest.mark.django_db(transaction=True)
def test_a_change_is_told_when_it_is_committed_and_not_before(line: Any) -> None:
    with transaction.atomic():
        news.changed("fleet", "cluster:1")
        assert line.get_message(ignore_subscribe_messages=True, timeout=0.1) is None
    assert heard(line) == ["cluster:1", "fleet"]


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_no_news(line: Any) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        news.changed("fleet")
        raise RuntimeError
    assert line.get_message(ignore_subscribe_messages=True, timeout=0.2) is None


@pytest.mark.django_db(transaction=True)
def test_every_move_of_a_state_is_news_under_every_name_that_shows_it(line: Any) -> None:
    cluster = make_cluster("weu")
    move(cluster, "degraded", machine=CLUSTER)
    assert set(heard(line)) == {f"cluster:{cluster.pk}", "clusters", "fleet"}
    assert Cluster.objects.get().state != "ready"


def test_versions_change_with_each_of_their_topics_and_with_nothing_else(redis: Redis) -> None:
    first = news.versions(["fleet", "rollouts"])
    assert first is not None
    assert news.versions(["rollouts", "fleet"]) == first
    news.tell(["clusters"])
    assert news.versions(["fleet", "rollouts"]) == first
    news.tell(["rollouts"])
    assert news.versions(["fleet", "rollouts"]) != first


def test_an_emptied_redis_brings_no_old_version_back(redis: Redis) -> None:
    news.tell(["fleet"])
    seen = {news.versions(["fleet"])}
    for _ in range(3):
        news.connection(redis.url).flushall()
        fresh = news.versions(["fleet"])
        assert fresh is not None
        assert fresh not in seen
        seen.add(fresh)


def test_without_redis_news_costs_one_try_and_then_nothing_for_a_while(
    no_redis: None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(200):
        assert news.tell(["fleet"]) is False
        assert news.versions(["fleet"]) is None
    assert [record.message for record in caplog.records] == ["news.silent"]  # of every try one
