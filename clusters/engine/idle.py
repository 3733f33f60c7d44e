"""GPUs that somebody holds and nobody uses: which, whose, since when, and what they cost. Pure.

A card counts when the heatmap's own bytes say that it is allocated and idle, so that a list and the
map never disagree. It idles for its holder only from when the holder came: the fleet's list and a
deployment's cost both read these groups. Without measurements nothing is said: silence is no proof
of idleness. Times are unix seconds, money is $/h at today's price.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
import numpy.typing as npt

from clusters.engine import heat
from clusters.engine.telemetry.types import GpuSample
from clusters.engine.types import NodeFacts, PoolFacts

LEAST = 30 * 60.0  # seconds before a pause counts as idleness

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Samples = Sequence[GpuSample]


@dataclass(frozen=True, slots=True)
class IdleGroup:
    """Idle cards of one holder on one node. `pod` is namespace/name, "" where several hold cards
    there and no exporter says which. `since`: of the card that idles longest, and never before
    its holder came. `usd`: what the cards have cost since then. None: the price is unknown."""

    node: str
    gpu_model: str
    pod: str
    workspace: str  # KAITO's, "" for pods of other kinds
    gpus: int
    since: float
    usd_per_hour: float | None
    usd: float | None


def idle_mask(allocation: bytes, idle: bytes, least: float = LEAST) -> Mask:
    """Cards (of heat.Heat) that are held as a whole and have idled for at least `least` s."""
    held = np.frombuffer(allocation, np.uint8) == heat.FULL
    codes = np.frombuffer(idle, np.uint8)
    mask: Mask = held & (codes >= heat.idle_code(least)) & (codes <= heat.MOST)
    return mask


def card_prices(nodes: Iterable[NodeFacts], pools: Iterable[PoolFacts]) -> Floats:
    """$/h of every card in the heatmap's order; NaN: unknown."""
    shares = {pool.key: gpu_share(pool) for pool in pools}
    found: list[float] = []
    for node in nodes:
        price = shares.get(node.pool)
        found += [np.nan if price is None else price] * heat.cards_of(node)
    return np.array(found, dtype=np.float64)


def gpu_share(pool: PoolFacts) -> float | None:
    """$/h of one card of a node of this pool; None: unknown."""
    if pool.price_per_hour is None or pool.gpus_per_node < 1:
        return None
    return pool.price_per_hour / pool.gpus_per_node


def idle_groups(
    nodes: Iterable[NodeFacts],
    pools: Iterable[PoolFacts],
    mask: Mask,
    codes: bytes,
    samples: Iterable[GpuSample],
    at: float,
) -> list[IdleGroup]:
    """The idle cards of one cluster by node and holder. `mask` and `codes` (heat.Heat.idle) hold
    every card of `nodes` in their order; `at`: up to when idle time counts."""
    by_key = {pool.key: pool for pool in pools}
    measured = _by_card(samples)
    found, start = [], 0
    for node in nodes:
        cards = np.flatnonzero(mask[start : start + heat.cards_of(node)])
        if len(cards):
            known = {
                int(card): (measured.get((node.name, int(card)), ()), codes[start + int(card)])
                for card in cards
            }
            found += _of_node(node, by_key.get(node.pool), known, at)
        start += heat.cards_of(node)
    return found


Known = Mapping[int, tuple[Samples, int]]


def _by_card(samples: Iterable[GpuSample]) -> Mapping[tuple[str, int], Samples]:
    found: dict[tuple[str, int], list[GpuSample]] = defaultdict(list)
    for sample in samples:
        found[(sample.node, sample.index)].append(sample)
    return found


def _of_node(node: NodeFacts, pool: PoolFacts | None, cards: Known, at: float) -> list[IdleGroup]:
    groups: dict[str, list[float]] = defaultdict(list)
    for samples, code in cards.values():
        fell = heat.idle_since(samples)
        since = at - heat.idle_seconds(code) if fell is None else fell
        groups[_holder(node, samples)].append(heat.with_holder(node, samples, since, at))
    return [_group(node, pool, pod, since, at) for pod, since in sorted(groups.items())]


def _holder(node: NodeFacts, samples: Samples) -> str:
    """The pod that holds the card; "" where it is one of several and nobody says which."""
    pods = heat.pods_at(node, samples)
    return pods[0] if len(pods) == 1 else ""


def _group(
    node: NodeFacts, pool: PoolFacts | None, pod: str, since: Sequence[float], at: float
) -> IdleGroup:
    price = gpu_share(pool) if pool else None
    hours = fsum(max(0.0, at - one) for one in since) / 3600
    return IdleGroup(
        node=node.name,
        gpu_model=pool.gpu_model if pool else "",
        pod=pod,
        workspace=next((kaito for name, _, kaito in node.holders if name == pod), ""),
        gpus=len(since),
        since=min(since),
        usd_per_hour=None if price is None else price * len(since),
        usd=None if price is None else price * hours,
    )
