"""Since when what is stored about a workspace is known to hold."""

from __future__ import annotations

from datetime import datetime

from clusters.models import Cluster
from workspaces.models import Workspace


def true_at(workspace: Workspace, cluster: Cluster) -> datetime | None:
    """When the observation was last known to hold: a row is written only when something changed,
    while the collector says of the whole cluster that what is stored is still true.
    """
    at, confirmed = workspace.observed_at, cluster.observed_at
    if at is None or confirmed is None or cluster.changes_read < cluster.changes:
        return at
    return max(at, confirmed)
