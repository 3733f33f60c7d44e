"""Faults that tests and the demo switch on per cluster at run time, and which of them a request
meets.
"""

import random
from dataclasses import dataclass, field
from itertools import count
from typing import Any

KINDS = (
    "latency",  # wait `seconds`, then answer
    "status",  # answer `code` (with Retry-After where `retry_after` is set)
    "blackhole",  # accept and never answer
    "reset",  # cut the connection before anything is done
    "lost_answer",  # do the work, then cut the connection
    "other_uid",  # answer with another kube-system uid: a different cluster behind the address
    "watch_drop",  # end watches `seconds` after they open
    "watch_stall",  # keep watches open and say nothing
)


@dataclass(slots=True)
class Fault:
    """One fault. Empty `cluster`, `verb` or `resource` match everything; `left` counts down from
    `count`.
    """

    kind: str
    cluster: str = ""
    verb: str = ""
    resource: str = ""
    probability: float = 1.0
    left: int | None = None
    code: int = 500
    message: str = ""
    retry_after: int | None = None
    seconds: float = 0.0
    id: int = 0
    hits: int = 0

    def matches(self, cluster: str, verb: str, resource: str) -> bool:
        """Whether the request is one of those the fault is meant for."""
        return (
            self.cluster in ("", cluster)
            and self.verb in ("", verb)
            and self.resource in ("", resource, resource.partition("/")[0])
            and self.left != 0
        )


@dataclass(slots=True)
class FaultBook:
    """The faults in force, in the order they were added."""

    rng: random.Random
    faults: list[Fault] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, data: dict[str, Any]) -> Fault:
        """A fault from JSON (fields of Fault, `count` instead of `left`). Raises ValueError naming
        the field.
        """
        values = dict(data)
        values["left"] = values.pop("count", None)
        if values.get("kind") not in KINDS:
            raise ValueError(f"kind: must be one of {', '.join(KINDS)}")
        try:
            fault = Fault(**{**values, "id": next(self._ids)})
        except TypeError as error:
            raise ValueError(str(error)) from error
        self.faults.append(fault)
        return fault

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
            if fault.matches(cluster, verb, resource) and (
                fault.probability >= 1 or self.rng.random() < fault.probability
            ):
                fault.hits += 1
                fault.left = None if fault.left is None else fault.left - 1
                met.append(fault)
        return met
