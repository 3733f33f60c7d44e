"""How many files this process may open: each watch is a socket, a thousand clusters have many."""

from __future__ import annotations

import logging
import resource

from clusters.collector.cache import WATCHED
from clusters.gateway.stream import CALLS

log = logging.getLogger(__name__)

PER_CLUSTER = len(WATCHED) + 2 * CALLS  # sockets, at most: watches, calls, metrics
SPARE = 100  # database, broker, logs, name servers


def files_raise() -> int:
    """Raise the soft limit to the hard one; the limit in force."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def files_check(clusters: int) -> bool:
    """Is the limit enough for so many clusters? Logs when it is not."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = PER_CLUSTER * clusters + SPARE
    if soft != resource.RLIM_INFINITY and soft < needed:
        log.warning(
            "collector.few_files", extra={"limit": soft, "needed": needed, "clusters": clusters}
        )
        return False
    return True
