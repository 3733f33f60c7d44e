"""Django behind a fixed number of threads."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from asgiref.sync import sync_to_async

from fleetportal.live.threads import in_threads


def test_many_requests_share_a_few_threads_and_use_the_last_one_first() -> None:
    names: list[str] = []
    most = [0]
    inside = [0]

    async def django(scope: Any, receive: Any, send: Any) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        await asyncio.sleep(0)
        names.append(await sync_to_async(lambda: threading.current_thread().name)())
        inside[0] -= 1

    async def run() -> None:
        application = in_threads(django, most=4)
        for _ in range(3):
            await application({"type": "http"}, None, None)
        assert len(set(names)) == 1
        await asyncio.gather(*(application({"type": "http"}, None, None) for _ in range(40)))

    asyncio.run(run())
    assert len(names) == 43
    assert most[0] == 4
    assert len(set(names)) <= 4


def test_a_request_that_fails_gives_its_thread_back() -> None:
    async def django(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("broken")

    async def run() -> None:
        application = in_threads(django, most=1)
        for _ in range(3):
            answers = await asyncio.gather(
                application({"type": "http"}, None, None), return_exceptions=True
            )
            assert isinstance(answers[0], RuntimeError)

    asyncio.run(run())
