from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.models import Check
from fleetportal.pulse import heartbeats
from fleetportal.pulse.models import Heartbeat
from tests.support import People

pytestmark = pytest.mark.django_db


def ready() -> Any:
    return Client().get("/readyz")


def sample(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, f"{name} is not in\n{text}"
    return float(found.group(1))


def test_healthz_asks_nothing_but_the_process(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/healthz").json() == {"status": "ok"}


def test_readyz_names_every_part_that_is_missing() -> None:
    answer = ready()
    assert answer.status_code == 503
    assert answer.json()["parts"] == {
        "database": {"ok": True},
        "broker": {"ok": False, "age": None},
        "ticker": {"ok": False, "age": None},
        "collector": {"ok": False, "age": None},
    }


def test_readyz_is_200_when_all_have_beaten_lately_and_not_later() -> None:
    for kind in heartbeats.KINDS:
        heartbeats.beat(kind, "one")
    answer = ready()
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    Heartbeat.objects.filter(kind="worker").update(at=timezone.now() - timedelta(seconds=31))
    answer = ready()
    assert answer.status_code == 503
    assert answer.json()["parts"]["broker"]["ok"] is False
    assert answer.json()["parts"]["broker"]["age"] == pytest.approx(31, abs=2)


def test_metrics_count_rows_by_state_and_how_long_work_waits() -> None:
    Check.objects.create(kind="a")
    Check.objects.create(kind="a", state="done")
    Check.objects.update(created_at=timezone.now() - timedelta(seconds=90))
    heartbeats.beat("worker", "one")
    answer = Client().get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
    text = answer.content.decode()
    assert sample(text, 'fleetportal_rows{kind="check",state="pending"}') == 1
    assert sample(text, 'fleetportal_rows{kind="check",state="done"}') == 1
    assert sample(text, 'fleetportal_due_rows{kind="check"}') == 1
    oldest = sample(text, 'fleetportal_due_oldest_seconds{kind="check"}')
    assert oldest == pytest.approx(90, abs=5)
    assert sample(text, 'fleetportal_heartbeat_age_seconds{kind="worker"}') < 5
    assert 'kind="collector"' not in text


def test_metrics_name_nobody(people: People) -> None:
    text = Client().get("/metrics").content.decode()
    assert "assist" not in text
    assert "engineer" not in text


def test_every_line_of_the_metrics_is_well_formed() -> None:
    Check.objects.create(kind="a")
    line = re.compile(r'(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"\\]*",?)+\})? [0-9.e+-]+)$')
    for row in Client().get("/metrics").content.decode().splitlines():
        assert line.match(row), row
