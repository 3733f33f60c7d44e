"""What becomes of changes that were on their way into the database when a session ended."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from clusters.collector.fleet import Fleet, Watched
from clusters.collector.stores import Row
from clusters.gateway import Connection
from clusters.services.watches import Fence


def watched(fleet: Fleet) -> Watched:
    """A cluster of this collector, with a change that is not stored yet; nothing runs."""
    row = Row("1", "here", "uid", (), (), quiet=True)
    connection = Connection(
        cluster_id="1", credential_version=1, server="https://127.0.0.1:1", ca_pem="", token="t"
    )
    found = fleet._watch(row, Fence("1", fleet.holder, 1), connection)
    found.task.cancel()
    found.cache.dirty.add("InferenceSet")
    fleet._watched[row.pk] = found
    return found


def test_a_change_that_waited_for_the_database_is_left_to_the_next_session() -> None:
    async def story() -> Watched:
        fleet, busy = Fleet("test"), threading.Event()
        found = watched(fleet)
        fleet._storing.submit(busy.wait)
        flush = asyncio.create_task(fleet._flush("1"))
        await asyncio.sleep(0)
        assert found.storing and not found.cache.dirty
        flush.cancel()  # as a session does with its tasks when the cluster does not answer
        with suppress(asyncio.CancelledError):
            await flush
        busy.set()
        for thread in (fleet._storing, fleet._owning):
            thread.shutdown()
        return found

    found = asyncio.run(story())
    assert found.cache.dirty == {"InferenceSet"}
    assert not found.storing
