"""Faults that tests and the demo switch on per cluster, at run time or by a file, and which of them
a request meets. What they do is in http/app.py and http/mischief.py.
"""

import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

KINDS = {
    "latency": "wait `seconds`, then answer",
    "status": "answer `code`, with Retry-After where `retry_after` is set",
    "blackhole": "accept and never answer",
    "reset": "cut the connection before anything is done",
    "lost_answer": "do the work, then cut the connection",
    "other_uid": "answer with another kube-system uid: a different cluster behind the address",
    "watch_drop": "end watches `seconds` after they open",
    "watch_stall": "keep watches open and say nothing",
    "gone": "410: on lists as a status, on watches as an ERROR event",
    "garbage": "spoil answers and watches; `mode` is bytes, json, types or html (empty: any)",
    "slow": "let an answer trickle: `size` bytes each `seconds`",
    "expired_certificate": "the spare port shows an expired certificate and drops connections",
}
MODES = ("bytes", "json", "types", "html")
_FIELDS = (
    "cluster, verb, resource: names or globs, a list or comma-separated, empty for all; "
    "probability 0..1; count: how many requests, then over; after: how many matching requests pass "
    "first; code, message, retry_after, seconds, size, mode. A kind of three digits is a status."
)


@dataclass(slots=True)
class Fault:
    """One fault. Empty `cluster`, `verb` or `resource` match everything, else they are names or
    globs with commas between; `left` counts down from `count`.
    """

    kind: str
    cluster: str = ""
    verb: str = ""
    resource: str = ""
    probability: float = 1.0
    left: int | None = None
    after: int = 0
    code: int = 500
    message: str = ""
    retry_after: int | None = None
    seconds: float = 0.0
    size: int = 64
    mode: str = ""
    id: int = 0
    hits: int = 0
    source: str = ""

    def meets(self, cluster: str) -> bool:
        """Whether the cluster is one of the fault's."""
        return _one_of(cluster, self.cluster)

    def matches(self, cluster: str, verb: str, resource: str) -> bool:
        """Whether the request is one of those the fault is meant for."""
        return (
            self.left != 0
            and self.meets(cluster)
            and _one_of(verb, self.verb)
            and (
                _one_of(resource, self.resource)
                or _one_of(resource.partition("/")[0], self.resource)
            )
        )


def _one_of(name: str, wanted: str) -> bool:
    if wanted in ("", name):
        return True
    if "," not in wanted and not any(sign in wanted for sign in "*?["):
        return False
    return any(fnmatchcase(name, part.strip()) for part in wanted.split(","))


@dataclass(slots=True)
class FaultBook:
    """The faults in force, in the order they were added."""

    rng: random.Random
    faults: list[Fault] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, data: dict[str, Any], source: str = "") -> Fault:
        """A fault from JSON (fields of Fault, `count` instead of `left`). Raises ValueError naming
        the field.
        """
        fault = self._fault(data, source)
        self.faults.append(fault)
        return fault

    def replace(self, rows: Any, source: str) -> None:
        """What a file says now instead of what it said before; others stay. Raises ValueError and
        changes nothing when a row is bad.
        """
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("faults: a list of objects is needed")
        fresh = [self._fault(row, source) for row in rows]
        self.faults = [fault for fault in self.faults if fault.source != source] + fresh

    def _fault(self, data: dict[str, Any], source: str) -> Fault:
        values = dict(data)
        values["left"] = values.pop("count", None)
        kind = str(values.get("kind", ""))
        if kind.isdigit() and len(kind) == 3:
            values |= {"kind": "status", "code": int(kind)}
        elif kind not in KINDS:
            raise ValueError(f"kind: must be one of {', '.join(KINDS)}")
        for key in ("cluster", "verb", "resource"):
            if isinstance(values.get(key), list):
                values[key] = ",".join(map(str, values[key]))
        if values.get("mode", "") not in ("", *MODES):
            raise ValueError(f"mode: must be one of {', '.join(MODES)}")
        try:
            return Fault(**{**values, "id": next(self._ids), "source": source})
        except TypeError as error:
            raise ValueError(str(error)) from error

    def remove(self, fault_id: int | None, cluster: str) -> int:
        """Drop one fault by id, or all of a cluster (all of all when both are empty). Returns how
        many.
        """
        before = len(self.faults)
        self.faults = [
            fault
            for fault in self.faults
            if not (fault.id == fault_id if fault_id else cluster in ("", fault.cluster))
        ]
        return before - len(self.faults)

    def met_by(self, cluster: str, verb: str, resource: str) -> list[Fault]:
        """The faults this request meets; counts them."""
        met = []
        for fault in self.faults:
            if not fault.matches(cluster, verb, resource):
                continue
            if fault.after > 0:
                fault.after -= 1
            elif fault.probability >= 1 or self.rng.random() < fault.probability:
                fault.hits += 1
                fault.left = None if fault.left is None else fault.left - 1
                met.append(fault)
        return met

    def expired(self) -> bool:
        """Whether the spare port is to show an expired certificate."""
        return any(fault.kind == "expired_certificate" for fault in self.faults)


def described() -> dict[str, Any]:
    """What can be asked for, in words."""
    return {"kinds": KINDS, "fields": _FIELDS}
