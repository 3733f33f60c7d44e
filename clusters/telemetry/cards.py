"""Cards that several exporters describe become one sample each."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from clusters.engine.telemetry.types import GpuSample

_FIELDS = ("util", "memory_used", "memory_total", "power", "temperature", "xid")


def joined(found: Iterable[tuple[str, GpuSample]]) -> tuple[GpuSample, ...]:
    """One sample for each card. HAMi knows best which pods share it, DCGM everything else."""
    cards: dict[tuple[str, str, int], GpuSample] = {}
    for kind, card in sorted(found, key=lambda pair: pair[0]):  # amd, dcgm, hami
        key = (card.node, card.uuid, card.index)
        held = cards.get(key)
        cards[key] = card if held is None else _filled(held, card, kind)
    return tuple(cards[key] for key in sorted(cards, key=lambda k: (k[0], k[2], k[1])))


def _filled(held: GpuSample, more: GpuSample, kind: str) -> GpuSample:
    gaps = {name: getattr(more, name) for name in _FIELDS if getattr(held, name) is None}
    pods = more.pods if kind == "hami" and more.pods else held.pods
    return msgspec.structs.replace(held, pods=pods, **gaps)
