"""The floor of `bench.live` and `bench.through`: bytes from Redis, or from the watches of API
servers, to every open socket, without tickets, topics or HTTP beyond a status line.

`python -m bench.fanout PORT`, with one JSON line on standard input: {"redis", "channel"} or
{"ca", "token", "watches": [{"host", "port", "path", "name"}]}; `name` is what is said of an event.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Callable
from typing import Any

import redis.asyncio

Tell = Callable[[bytes], None]


async def main(port: int, plan: dict[str, Any]) -> None:
    open_pages: set[asyncio.StreamWriter] = set()

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await reader.readline():  # only looked whether somebody listens
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        open_pages.add(writer)

    def tell(names: bytes) -> None:
        for writer in open_pages:
            writer.write(b"event: changed\ndata: " + names + b"\n\n")

    async with asyncio.TaskGroup() as tasks:
        if "redis" in plan:
            tasks.create_task(_news(plan["redis"], plan["channel"], tell))
        for watch in plan.get("watches", ()):
            tasks.create_task(_watch(watch, plan["ca"], plan["token"], tell))
        await asyncio.start_server(page, "127.0.0.1", port, backlog=1024)


async def _news(url: str, channel: str, tell: Tell) -> None:
    client: Any = redis.asyncio.Redis.from_url(url)
    async with client, client.pubsub() as line:
        await line.subscribe(channel)
        async for message in line.listen():
            if message["type"] == "message":
                tell(message["data"])


async def _watch(watch: dict[str, Any], ca: str, token: str, tell: Tell) -> None:
    """One watch; an event is told unread."""
    context = ssl.create_default_context(cadata=ca)
    reader, writer = await asyncio.open_connection(watch["host"], watch["port"], ssl=context)
    head = f"GET {watch['path']} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode())
    names = json.dumps([watch["name"]]).encode()
    async for line in reader:
        if line.startswith(b'{"type":"MODIFIED"'):
            tell(names)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), json.loads(sys.stdin.readline())))
