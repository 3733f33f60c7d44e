"""The floor of `bench.live`: bytes from Redis to every open socket, without tickets, topics or HTTP
beyond a status line. `python -m bench.fanout PORT REDIS_URL CHANNEL`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import redis.asyncio


async def main(port: int, url: str, channel: str) -> None:
    open_pages: set[asyncio.StreamWriter] = set()

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await reader.readline():  # only looked whether somebody listens
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        open_pages.add(writer)

    client: Any = redis.asyncio.Redis.from_url(url)
    async with client, client.pubsub() as line:
        await line.subscribe(channel)
        server = await asyncio.start_server(page, "127.0.0.1", port, backlog=1024)
        async with server:
            async for message in line.listen():
                if message["type"] == "message":
                    for writer in open_pages:
                        writer.write(b"event: changed\ndata: " + message["data"] + b"\n\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
