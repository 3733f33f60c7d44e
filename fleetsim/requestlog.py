"""The append-only log of every request: the oracle that tests judge the portal by."""

import hashlib
import time
from collections import deque
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

KEPT = 500_000
LONGEST = 512 * 2**20  # bytes of the file; the one before it is kept


class RequestLog:
    """Entries in memory as JSON (the newest 500,000, about 450 bytes each) and, where a path is
    given, one line each on disk.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lines: deque[bytes] = deque(maxlen=KEPT)
        self.seq = 0
        self._path = path
        self._file = path.open("ab", buffering=0) if path else None
        self._size = self._file.tell() if self._file else 0

    def add(self, **fields: Any) -> dict[str, Any]:
        """Append one entry; seq, mono (seconds) and time (ISO, UTC) are set here."""
        self.seq += 1
        now = datetime.now(UTC).isoformat()
        entry = {"seq": self.seq, "mono": time.monotonic(), "time": now, **fields}
        line = orjson.dumps(entry)
        self._lines.append(line)
        if self._file:
            self._size += self._file.write(line + b"\n") or 0
            if self._size > LONGEST:
                self._turn()
        return entry

    def _turn(self) -> None:
        """Begin another file."""
        if self._file and self._path:
            self._file.close()
            self._path.replace(self._path.with_suffix(".1.jsonl"))
            self._file, self._size = self._path.open("ab", buffering=0), 0

    def after(self, seq: int, cluster: str = "") -> list[dict[str, Any]]:
        """The entries after `seq`, of one cluster or of all."""
        skip = max(0, len(self._lines) - (self.seq - seq))
        part = b'"cluster":' + orjson.dumps(cluster)
        rest = (line for line in islice(self._lines, skip, None) if not cluster or part in line)
        entries = map(orjson.loads, rest)
        return [entry for entry in entries if cluster in ("", entry["cluster"])]


def content_hash(body: bytes) -> str:
    """SHA-256 of a request body, empty for none."""
    return hashlib.sha256(body).hexdigest() if body else ""


def marks(body: Any) -> dict[str, str]:
    """The portal's own annotations (fence, digests) in a body, for the log."""
    if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
        return {}
    found = body["metadata"].get("annotations")
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if "fleetportal" in key}
