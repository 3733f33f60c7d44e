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


class RequestLog:
    """Entries in memory (the newest 500,000) and, where a path is given, one JSON line each on
    disk.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.seq = 0
        self._file = path.open("ab", buffering=0) if path else None

    def add(self, **fields: Any) -> dict[str, Any]:
        """Append one entry; seq, mono (seconds) and time (ISO, UTC) are set here."""
        self.seq += 1
        now = datetime.now(UTC).isoformat()
        entry = {"seq": self.seq, "mono": time.monotonic(), "time": now, **fields}
        self.entries.append(entry)
        if self._file:
            self._file.write(orjson.dumps(entry) + b"\n")
        return entry

    def after(self, seq: int, cluster: str = "") -> list[dict[str, Any]]:
        """The entries after `seq`, of one cluster or of all."""
        skip = max(0, len(self.entries) - (self.seq - seq))
        rest = islice(self.entries, skip, None)
        return [entry for entry in rest if cluster in ("", entry["cluster"])]


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
