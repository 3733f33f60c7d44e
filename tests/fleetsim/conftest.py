"""One simulator process without actors for the API's tests, and a fresh bare cluster per test."""

from collections.abc import Iterator

import pytest

from tests.simfleet import SimCluster, SimFleet


@pytest.fixture(scope="session")
def bare_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimFleet]:
    """A simulator in which nothing acts by itself."""
    fleet = SimFleet.start(tmp_path_factory.mktemp("fleetsim"), actors=False)
    yield fleet
    fleet.stop()


@pytest.fixture
def cluster(bare_fleet: SimFleet) -> SimCluster:
    """A fresh cluster with our CRDs and nothing else."""
    return bare_fleet.add_cluster(bare=True)
