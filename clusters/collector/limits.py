"""What this process takes of its machine: open files (each watch is a socket) and memory."""

from __future__ import annotations

import ctypes
import logging
import resource

from clusters.collector.cache import WATCHED
from clusters.gateway.stream import CALLS

log = logging.getLogger(__name__)

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of glibc's malloc.h
LARGE = 64 << 10  # bytes of one allocation
PER_CLUSTER = len(WATCHED) + 2 * CALLS  # sockets, at most: watches, calls, metrics
SPARE = 100  # database, broker, logs, name servers


def memory_tidy() -> bool:
    """Give the pages of large bodies back when they are freed, where glibc allows it.

    Left alone, it learns from the first ones to keep them, and a thousand lists leave their holes
    between what stays.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(M_MMAP_THRESHOLD, LARGE) and libc.mallopt(M_ARENA_MAX, 2))
    except (OSError, AttributeError):
        return False


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
