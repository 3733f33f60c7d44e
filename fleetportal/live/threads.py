"""A fixed number of threads for Django behind ASGI.

Django's own handler starts a thread for each request: five hundred at once are five hundred
threads and as many database connections. Here a request waits its turn for one of a few threads,
which keep their connections (CONN_MAX_AGE) from one request to the next. It has its thread from
the end of its body to the end of its answer, however slowly its caller sends and takes.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import ThreadSensitiveContext

from fleetportal.live.exchange import Exchange, Held, Unread
from fleetportal.live.stream import App, Receive, Scope, Send

MOST = 32  # requests at once; some of them wait a few seconds for a worker's answer


def in_threads(django: App, most: int = MOST) -> App:
    """`django`, at most `most` requests at once, the thread used last first."""
    free = [ThreadPoolExecutor(1, thread_name_prefix=f"django-{n}") for n in range(most)]
    places: list[asyncio.Semaphore] = []  # made in the loop that serves
    held = Held()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await django(scope, receive, send)
        exchange = Exchange(receive, send, held)
        try:
            await exchange.read(scope)
            await in_thread(scope, exchange)
            await exchange.flush()
        except Unread as error:
            if error.status is not None:
                await exchange.refuse(scope, error.status)
        finally:
            exchange.close()
        return None

    async def in_thread(scope: Scope, exchange: Exchange) -> None:
        if not places:
            places.append(asyncio.Semaphore(most))
        async with places[0]:
            thread = free.pop()
            try:
                async with ThreadSensitiveContext(executor=thread):
                    await django(scope, exchange.receive, exchange.send)
            finally:
                free.append(thread)

    return application
