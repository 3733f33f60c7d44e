"""The verdicts of a plan, frozen in one column: read as a whole or not at all.

A thousand clusters give the same few answers over and over, so each filter result, score term and
estimate is written once and verdicts hold their places. Plans are read by later releases: the
format has a number, and another number is refused instead of guessed at.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import msgspec

from clusters.engine.types import PoolKind
from workspaces.engine.types import Estimate, FilterResult, ScoreTerm, Verdict
from workspaces.models import Plan

T = TypeVar("T")

FORMAT = b"\x01"
FASTEST = 1  # of zlib's levels: the higher ones cost more than the disk they save


class _Row(msgspec.Struct, array_like=True):
    """A Verdict with places instead of values."""

    cluster_id: str
    cluster: str
    verdict: str
    reason: str
    filters: list[int]
    scores: list[int]
    total: float | None
    replicas: int
    pool: str
    pool_kind: PoolKind | None
    instance_type: str
    nodes_per_replica: int | None
    price_per_hour: float | None
    estimate: int | None


class _Frozen(msgspec.Struct, array_like=True):
    filters: list[FilterResult]
    scores: list[ScoreTerm]
    estimates: list[Estimate]
    rows: list[_Row]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Frozen)


class _Places(Generic[T]):
    """Values in the order of their first use. The same object has one place; an equal one may have
    another, which costs room and no correctness (hashing every value would cost time)."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._at: dict[int, int] = {}

    def of(self, value: T) -> int:
        place = self._at.setdefault(id(value), len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def pack(verdicts: Sequence[Verdict]) -> bytes:
    """The column's value. Equal verdicts of one decision give equal bytes."""
    filters, scores, estimates = _Places[FilterResult](), _Places[ScoreTerm](), _Places[Estimate]()
    rows = [
        _Row(
            v.cluster_id,
            v.cluster,
            v.verdict,
            v.reason,
            [filters.of(one) for one in v.filters],
            [scores.of(one) for one in v.scores],
            v.total,
            v.replicas,
            v.pool,
            v.pool_kind,
            v.instance_type,
            v.nodes_per_replica,
            v.price_per_hour,
            None if v.estimate is None else estimates.of(v.estimate),
        )
        for v in verdicts
    ]
    frozen = _Frozen(filters.values, scores.values, estimates.values, rows)
    return FORMAT + zlib.compress(_encoder.encode(frozen), FASTEST)


def verdicts_of(plan: Plan) -> tuple[Verdict, ...]:
    """One verdict per cluster, by cluster name; empty while the plan is computing.

    Raises ValueError for a format of another release.
    """
    return tuple(_thaw(plan))


def selected_of(plan: Plan) -> list[Verdict]:
    """The selected verdicts of a plan, by cluster name."""
    return [verdict for verdict in _thaw(plan) if verdict.verdict == "selected"]


def _thaw(plan: Plan) -> Iterable[Verdict]:
    packed = bytes(plan.verdicts_packed)
    if not packed:
        return ()
    if packed[:1] != FORMAT:
        raise ValueError(f"plan {plan.pk}: its verdicts are in a format of another release")
    frozen = _decoder.decode(zlib.decompress(packed[1:]))
    return (_verdict(frozen, row) for row in frozen.rows)


def _verdict(frozen: _Frozen, row: _Row) -> Verdict:
    return Verdict(
        cluster_id=row.cluster_id,
        cluster=row.cluster,
        verdict=row.verdict,
        reason=row.reason,
        filters=tuple([frozen.filters[place] for place in row.filters]),
        scores=tuple([frozen.scores[place] for place in row.scores]),
        total=row.total,
        replicas=row.replicas,
        pool=row.pool,
        pool_kind=row.pool_kind,
        instance_type=row.instance_type,
        nodes_per_replica=row.nodes_per_replica,
        price_per_hour=row.price_per_hour,
        estimate=None if row.estimate is None else frozen.estimates[row.estimate],
    )
