"""Redis, a worker, a collector and the simulator, each a real process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fleet import harness
from tests.process import stack
from tests.simfleet import SimFleet
from tests.support import make_people


@dataclass(frozen=True)
class Running:
    portal: harness.Portal
    redis: stack.Redis
    worker: stack.Worker


@pytest.fixture(scope="session")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    started = SimFleet.start(tmp_path_factory.mktemp("fleet"), speed=100)
    yield started
    started.stop()


@pytest.fixture
def processes(sim: SimFleet, tmp_path: Path, transactional_db: None) -> Iterator[Running]:
    people = make_people()
    harness.quick_strategy()
    redis = stack.Redis(tmp_path)
    redis.start()
    env = stack.environment(redis.url, tmp_path)
    worker = stack.Worker("worker", tmp_path, env)
    collector = stack.CollectorProcess("collector", tmp_path, env)
    try:
        with harness.running(sim, people, worker, collector) as portal:
            yield Running(portal, redis, worker)
    finally:
        redis.kill()
