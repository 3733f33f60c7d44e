"""The simulator and a portal on top of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet import harness
from tests.simfleet import SimFleet
from tests.support import People, make_people


@pytest.fixture(scope="session")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    started = SimFleet.start(tmp_path_factory.mktemp("fleet"), speed=200)
    yield started
    started.stop()


@pytest.fixture
def everybody(transactional_db: None) -> People:
    return make_people()


@pytest.fixture
def portal(sim: SimFleet, everybody: People) -> Iterator[harness.Portal]:
    """A running portal without clusters, with the strategies quick and single."""
    harness.quick_strategy()
    harness.single_stage()
    with harness.running(sim, everybody) as started:
        yield started
