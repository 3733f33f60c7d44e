"""The verdicts of a plan, frozen in one column: read as a whole or not at all.

A thousand clusters give the same few answers over and over, so each filter result, score term and
estimate is written once and verdicts hold their places. Plans are read by later releases: the
format has a number, and another number is refused instead of guessed at.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

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


def pack(verdicts: Sequence[Verdict]) -> bytes:
    """The column's value. Equal verdicts of one decision give equal bytes.

    The same object has one place; an equal one may have another, which costs room and no
    correctness (hashing every value would cost time).
    """
    filters, scores = _Places[FilterResult](), _Places[ScoreTerm]()
    estimates = _Places[Estimate]()
    rows = [
        _Row(
            v.cluster_id,
            v.cluster,
            v.verdict,
            v.reason,
            filters.of(v.filters),
            scores.of(v.scores),
            v.total,
            v.replicas,
            v.pool,
            v.pool_kind,
            v.instance_type,
            v.nodes_per_replica,
            v.price_per_hour,
            None if v.estimate is None else estimates.of((v.estimate,))[0],
        )
        for v in verdicts
    ]
    frozen = _Frozen(filters.values, scores.values, estimates.values, rows)
    return FORMAT + zlib.compress(_encoder.encode(frozen), FASTEST)


class _Places(Generic[T]):
    """Values in the order in which they were first met. It holds them, so that no other one can
    have the identity of one of them meanwhile.
    """

    def __init__(self) -> None:
        self.values: list[T] = []
        self._at: dict[int, int] = {}

    def of(self, values: Sequence[T]) -> list[int]:
        at, found = self._at, []
        for one in values:
            place = at.get(id(one))
            if place is None:
                place = at[id(one)] = len(self.values)
                self.values.append(one)
            found.append(place)
        return found


class Verdicts(Sequence[Verdict]):
    """One verdict per cluster, by cluster name; each is made when it is looked at."""

    def __init__(self, frozen: _Frozen) -> None:
        self._frozen = frozen

    def __len__(self) -> int:
        return len(self._frozen.rows)

    def __iter__(self) -> Iterator[Verdict]:
        return (_verdict(self._frozen, row) for row in self._frozen.rows)

    @overload
    def __getitem__(self, place: int) -> Verdict: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Verdict]: ...
    def __getitem__(self, place: int | slice) -> Verdict | Sequence[Verdict]:
        if isinstance(place, slice):
            return [_verdict(self._frozen, row) for row in self._frozen.rows[place]]
        return _verdict(self._frozen, self._frozen.rows[place])

    def selected(self) -> list[Verdict]:
        rows = (row for row in self._frozen.rows if row.verdict == "selected")
        return [_verdict(self._frozen, row) for row in rows]


def verdicts_of(plan: Plan) -> Verdicts:
    """What the plan's column holds; nothing while the plan is computing.

    Raises ValueError for a format of another release.
    """
    packed = bytes(plan.verdicts_packed)
    if not packed:
        return Verdicts(_Frozen([], [], [], []))
    if packed[:1] != FORMAT:
        raise ValueError(f"plan {plan.pk}: its verdicts are in a format of another release")
    return Verdicts(_decoder.decode(zlib.decompress(packed[1:])))


def selected_of(plan: Plan) -> list[Verdict]:
    """The selected verdicts of a plan, by cluster name."""
    return verdicts_of(plan).selected()


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
