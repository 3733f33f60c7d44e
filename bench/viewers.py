"""Five hundred open pages in one process, as `bench.live` starts it: `bench.viewers PORT`.

Reads one JSON line {"paths", "viewers": [{"query", "cookie"}]}; for every nudge it prints one line
{"nudged": [...], "content": [...], "named": [...]} once all have it: monotonic seconds, and what
differed between the lists of names that they were told. `fetch N` on standard input sets how many
of them then ask for the part, within 150 ms as live.js does.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any

HOST = "127.0.0.1"
SPREAD = 0.15
Connection = list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]  # one, once it is open


class Viewers:
    """Counts down a round: all nudged, and those who fetch have their content."""

    def __init__(self, port: int, plan: dict[str, Any]) -> None:
        self.port, self.plan = port, plan
        self.fetchers = 0
        self.nudged: dict[int, float] = {}
        self.content: dict[int, float] = {}
        self.named: set[bytes] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        viewers = self.plan["viewers"]
        streams = [await self._stream(viewer) for viewer in viewers]
        for number, reader in enumerate(streams):
            self._go(self._listen(number, reader, viewers[number]["cookie"]))
        say({"ready": len(streams)})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            self.fetchers = int(line.split()[1])
            say({"fetchers": self.fetchers})

    def _go(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """What went wrong is said at once: the round would never end."""
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            say({"wrong": repr(error)})

    async def _stream(self, viewer: dict[str, str]) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(request(f"/live/stream?{viewer['query']}", viewer["cookie"]))
        self.tasks.add(writer)  # type: ignore[arg-type]  # a stream lives as long as its writer
        status = await reader.readline()
        assert b" 200 " in status, status
        return reader

    async def _listen(self, number: int, reader: asyncio.StreamReader, cookie: str) -> None:
        page: Connection = []
        async for line in reader:
            if line.startswith(b"event: changed"):
                self.named.add((await reader.readline()).removeprefix(b"data: "))
                assert number not in self.nudged, "told twice of one change"
                self.nudged[number] = time.monotonic()
                if number < self.fetchers:
                    self._go(self._fetch(number, page, cookie))
                self._round()

    async def _fetch(self, number: int, page: Connection, cookie: str) -> None:
        await asyncio.sleep(random.uniform(0, SPREAD))
        try:
            await self._get(page, cookie)
        except (OSError, asyncio.IncompleteReadError):  # an idle one that was closed meanwhile
            page.clear()
            await self._get(page, cookie)
        self.content[number] = time.monotonic()
        self._round()

    async def _get(self, page: Connection, cookie: str) -> None:
        if not page:
            page.append(await asyncio.open_connection(HOST, self.port))
        reader, writer = page[0]
        for path in self.plan["paths"]:
            writer.write(request(path, cookie, "HX-Request: true\r\n"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head.split(b"\r\n")[0], head
            fields = head.lower().split(b"\r\n")
            length = next(one for one in fields if one.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))

    def _round(self) -> None:
        if len(self.nudged) < len(self.plan["viewers"]) or len(self.content) < self.fetchers:
            return
        named = [json.loads(names) for names in sorted(self.named)]
        nudged, content = list(self.nudged.values()), list(self.content.values())
        self.nudged, self.content, self.named = {}, {}, set()
        say({"nudged": nudged, "content": content, "named": named})


def request(path: str, cookie: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n{more}\r\n".encode()


def say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Viewers(int(sys.argv[1]), json.loads(sys.stdin.readline())).run())
