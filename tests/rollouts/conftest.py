from __future__ import annotations

import pytest

from clusters.models import Cluster
from tests.support import People
from tests.workspaces.fleet_rows import make_fleet


@pytest.fixture
def fleet(people: People) -> dict[str, Cluster]:
    """The story's nine clusters as rows."""
    return make_fleet()
