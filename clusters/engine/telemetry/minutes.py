"""Each card's mean use of a minute, gathered look by look. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import msgspec

from clusters.engine.telemetry.types import GpuSample

Card = tuple[str, int, str]  # node, number, UUID


def key_of(gpu: GpuSample) -> Card:
    return gpu.node, gpu.index, gpu.uuid


class Minute(msgspec.Struct, frozen=True, array_like=True):
    """Sums of utilisation since the minute began, in the order of the cards stored beside it.

    `number`: unix minutes. `sums`: 32-bit floats; `counts`: bytes.
    """

    number: int
    sums: bytes = b""
    counts: bytes = b""


def gathered(
    minute: Minute | None, before: Sequence[GpuSample], now: Sequence[GpuSample], at: float
) -> Minute:
    """The minute with one more look. `before`: the cards that `minute` counts."""
    number = int(at // 60)
    held = _sums(minute, before) if minute is not None and minute.number == number else {}
    sums, counts = array("f"), bytearray()
    for gpu in now:
        total, count = held.get(key_of(gpu), (0.0, 0))
        more = gpu.util is not None and count < 255
        sums.append(total + (gpu.util or 0.0) if more else total)
        counts.append(count + more)
    return Minute(number, sums.tobytes(), bytes(counts))


def means(minute: Minute, cards: Sequence[GpuSample]) -> tuple[GpuSample, ...]:
    """The cards with the minute's mean utilisation; None where there was none."""
    held = _sums(minute, cards)
    return tuple(_with_mean(gpu, *held.get(key_of(gpu), (0.0, 0))) for gpu in cards)


def _with_mean(gpu: GpuSample, total: float, count: int) -> GpuSample:
    return msgspec.structs.replace(gpu, util=total / count if count else None)


def _sums(minute: Minute, cards: Sequence[GpuSample]) -> dict[Card, tuple[float, int]]:
    """Nothing when the cards are not those that were counted."""
    sums = array("f")
    if len(minute.sums) != sums.itemsize * len(cards) or len(minute.counts) != len(cards):
        return {}
    sums.frombytes(minute.sums)
    columns = zip(cards, sums, minute.counts, strict=True)
    return {key_of(gpu): (total, count) for gpu, total, count in columns}
