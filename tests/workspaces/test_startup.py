"""The expected end of a start on the pages, and where its figures come from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.engine.telemetry.types import ServingNow
from clusters.models import Telemetry
from rollouts.models import Rollout
from tests.factories import make_rollout, put
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet
from workspaces.models import Workspace
from workspaces.selectors.startup import downloads, startups
from workspaces.services.startup import _note_download

ORDER = ("getting_nodes", "pulling_image", "loading_weights", "benchmarking", "ready")
SPANS = (60, 30, 120, 30)  # seconds: 240 in all


def phases(begun: datetime, upto: str = "ready", spans: tuple[int, ...] = SPANS) -> dict[str, str]:
    found, moment = {}, begun
    for key, span in zip(ORDER, (*spans, 0), strict=True):
        found[key] = moment.isoformat()
        if key == upto:
            return found
        moment += timedelta(seconds=span)
    return found


@pytest.fixture
def rollout(people: People) -> Rollout:
    make_fleet()
    return make_rollout(people.engineer, people.assist)


def begin(rollout: Rollout, state: str = "getting_nodes", ago: float = 0) -> Workspace:
    """The first target's workspace starts; it is on a pool with L4s, say."""
    target = rollout.targets.select_related("new").first()
    assert target is not None
    put([target], state="starting", applied=True, mutated=True)
    begun = timezone.now() - timedelta(seconds=ago)
    put([target.new], state=state, phases=phases(begun, upto=state))
    assert target.new is not None
    return Workspace.objects.select_related("revision", "pool", "cluster").get(pk=target.new.pk)


def others_ended(workspace: Workspace, **fields: Any) -> int:
    """The other workspaces of the rollout have been started on such a pool, a while ago."""
    others = Workspace.objects.filter(revision=workspace.revision).exclude(pk=workspace.pk)
    then = timezone.now() - timedelta(days=1)
    wanted = {"state": "ready", "phases": phases(then), "pool": workspace.pool, **fields}
    return others.update(**wanted)


def page(rollout: Rollout, people: People, name: str) -> str:
    client = Client()
    client.force_login(people.engineer)
    pk = rollout.pk if name == "rollout" else rollout.deployment_id
    return client.get(reverse(name, args=[pk])).content.decode()


@pytest.mark.parametrize("name", ["rollout", "deployment"])
def test_pages_say_when_it_will_be_ready_and_from_what_they_know(
    people: People, rollout: Rollout, name: str
) -> None:
    workspace = begin(rollout, ago=20)
    starts = others_ended(workspace)
    assert starts
    shown = page(rollout, people, name)
    assert workspace.pool is not None
    assert "Expected ready" in shown
    assert f"going by {starts} start{'s' if starts > 1 else ''} of this model on " in shown
    assert workspace.pool.gpu_model.replace("-", " ") in shown
    found = startups([workspace], timezone.now())[workspace.pk]
    assert found.at is not None
    assert 200 < (found.at - timezone.now()).total_seconds() < 225


@pytest.mark.parametrize("name", ["rollout", "deployment"])
def test_pages_say_that_nothing_like_it_was_seen(
    people: People, rollout: Rollout, name: str
) -> None:
    workspace = begin(rollout)
    shown = page(rollout, people, name)
    assert workspace.pool is not None
    words = f"No start of this model on {workspace.pool.gpu_model.replace('-', ' ')} was seen yet"
    assert words in shown


def test_starts_on_other_cards_teach_nothing(rollout: Rollout) -> None:
    workspace = begin(rollout)
    others_ended(workspace, pool=None)
    assert startups([workspace], timezone.now())[workspace.pk].at is None


def test_what_is_ready_is_not_asked_for(rollout: Rollout, count_queries: Any) -> None:
    workspace = begin(rollout, "ready")
    with count_queries() as queries:
        assert startups([workspace], timezone.now()) == {}
    assert not queries


def telemetry(workspace: Workspace, left: float | None, age: float = 0) -> None:
    gauges = {} if left is None else {"download_left": left}
    subject = f"{workspace.namespace}/{workspace.name}"
    pods = tuple(
        ServingNow(subject, workspace.namespace, f"p-{n}", f"u-{n}", "vllm", "", gauges, ())
        for n in range(2)
    )
    Telemetry.objects.update_or_create(
        cluster=workspace.cluster,
        defaults={
            "serving_packed": msgspec.msgpack.encode(pods),
            "at": timezone.now() - timedelta(seconds=age),
        },
    )


def test_the_pods_own_figure_counts_while_it_is_fresh(rollout: Rollout) -> None:
    workspace = begin(rollout, "loading_weights")
    telemetry(workspace, 77.0)
    assert downloads([workspace], timezone.now()) == {workspace.pk: 77.0}
    found = startups([workspace], timezone.now())[workspace.pk]
    assert found.before == "Weights expected"
    telemetry(workspace, 77.0, age=120)
    assert downloads([workspace], timezone.now()) == {}


def test_the_end_of_a_download_is_kept_as_the_beginning_of_the_load(
    people: People, rollout: Rollout
) -> None:
    workspace = begin(rollout, "loading_weights")
    for left, known in ((None, set()), (30.0, {"downloading"}), (None, {"downloading", "loading"})):
        telemetry(workspace, left)
        _note_download(workspace)
        workspace.refresh_from_db()
        assert set(workspace.phases) & {"downloading", "loading"} == known
    assert '<li class="now" aria-current="step">load</li>' in page(rollout, people, "deployment")
