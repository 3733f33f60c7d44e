"""A cluster's GPUs as one byte per card and metric: what the heatmap draws.

Cards stand in the order of the stored nodes, 0 to n-1 on each; a card that is cut into slices is
one cell. Kubernetes does not say which card a pod sits on: DCGM's word is taken where there is
one, the rest is filled from the left. Cells add up to the classes of the census.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from clusters.engine.telemetry.types import GpuSample
from clusters.engine.types import NodeFacts
from clusters.engine.xids import is_hardware

UNKNOWN, NOT_EXPORTED = 255, 254  # no measurement of the card; measured, but not this
MOST = 250

FREE, PART, FULL, BLOCKED, FAULTY = range(5)  # of `allocation`
ALLOCATION = ("free", "shared", "allocated", "blocked", "faulty")

# Bits of `marks`; its upper half repeats the allocation, 15 for unknown.
FAULT, FIRST, SHARED, ERROR = 1, 2, 4, 8
_NOBODY_KNOWS = 15

PERCENT_STEPS = 2  # bytes per percent
WATT_STEP = 5  # watts per byte
IDLE_STEPS = 12  # bytes per doubling of 1 + minutes

METRICS = ("util", "memory", "allocation", "power", "temperature", "idle")
Samples = Sequence[GpuSample]


@dataclass(frozen=True, slots=True)
class Heat:
    """Bytes of equal length, one per card; `cards[i]` of them are on node i.

    util, memory: half percent. power: 5 W. temperature: degrees Celsius. idle: `idle_code` of the
    time since `idle_from`. allocation: FREE to FAULTY. marks: FAULT, FIRST (card of its node),
    SHARED, ERROR.
    """

    cards: tuple[int, ...]
    util: bytes
    memory: bytes
    allocation: bytes
    power: bytes
    temperature: bytes
    idle: bytes
    marks: bytes


def heat(
    nodes: Iterable[NodeFacts],
    samples: Iterable[GpuSample],
    *,
    at: float,
    blind: bool = False,
) -> Heat:
    """Cells of one cluster. `at`: unix seconds up to which idle time is counted.

    `blind`: nobody may list the cluster's pods, so that no allocation is known.
    """
    measured = by_card(samples)
    counts, cells = [], []
    for node in nodes:
        found = _node(node, measured.get(node.name, {}), at, blind)
        counts.append(len(found))
        cells += found
    columns = [bytes(column) for column in zip(*cells, strict=True)] or [b""] * 7
    return Heat(tuple(counts), *columns)


def cards_of(node: NodeFacts) -> int:
    """Physical cards; 0 on a shared node where nobody says how many there are."""
    if node.sharing != "none":
        return node.whole_shared + node.faulty
    return node.allocatable + node.faulty


def layout_key(identity: Iterable[str], nodes: Iterable[NodeFacts]) -> int:
    """63 bits that change with the names and cards of the nodes and with `identity`."""
    digest = hashlib.blake2b(digest_size=8)
    for word in identity:
        digest.update(word.encode() + b"\0")
    for node in nodes:
        digest.update(f"{node.name}\0{cards_of(node)}\0{node.pool}\0".encode())
    return int.from_bytes(digest.digest(), "big") >> 1


def value_of(metric: str, byte: int) -> float | None:
    """A byte of a measured metric in %, W, degrees or seconds; None: unknown or not exported."""
    return None if byte > MOST else _DECODE[metric](byte)


def idle_code(seconds: float) -> int:
    """Idle time on a scale that keeps 6 % of it, from a minute to years."""
    return _byte(IDLE_STEPS * math.log2(1 + max(0.0, seconds) / 60))


def idle_seconds(byte: int) -> float:
    return 60.0 * (math.exp2(byte / IDLE_STEPS) - 1)


_DECODE: Mapping[str, Callable[[int], float]] = {
    "util": lambda byte: byte / PERCENT_STEPS,
    "memory": lambda byte: byte / PERCENT_STEPS,
    "power": lambda byte: float(byte * WATT_STEP),
    "temperature": lambda byte: float(byte),
    "idle": idle_seconds,
}


def allocations(node: NodeFacts, samples: Mapping[int, Samples]) -> list[int]:
    """FREE to FAULTY of each card; their counts are the census's classes of the node."""
    cards = range(cards_of(node))
    if node.sharing != "none":
        ill = _ill(node)
        return [FAULTY if card in ill else PART for card in cards]
    held = _held(node, samples)
    faulty = _faulty(node, samples, held)
    rest = FREE if node.free else BLOCKED
    return [FULL if c in held else FAULTY if c in faulty else rest for c in cards]


def _ill(node: NodeFacts) -> set[int]:
    """Shared cards that are not given out: by their number, else by their place in the list."""
    told = {
        place if card.index is None else card.index
        for place, card in enumerate(node.cards)
        if not card.healthy
    }
    order = sorted(range(cards_of(node)), key=lambda c: (c not in told, -c))
    return set(order[: node.faulty])


def _held(node: NodeFacts, samples: Mapping[int, Samples]) -> set[int]:
    """As many cards as pods hold: first those that DCGM names, then from the left."""
    used = min(node.used, node.allocatable)
    named = {c for c in range(cards_of(node)) if any(s.pods for s in samples.get(c, ()))}
    order = sorted(range(cards_of(node)), key=lambda c: (c not in named, _broken(samples, c), c))
    return set(order[:used])


def _faulty(node: NodeFacts, samples: Mapping[int, Samples], held: set[int]) -> set[int]:
    """Which cards the device plugin does not offer: those with an error, those unseen, the last.

    A node that offers none is starting or without its plugin: no card is known to be broken.
    """
    count = node.faulty if node.allocatable else 0
    idle = [c for c in range(cards_of(node)) if c not in held]
    idle.sort(key=lambda c: (not _broken(samples, c), c in samples, -c))
    return set(idle[:count])


def _broken(samples: Mapping[int, Samples], card: int) -> bool:
    return any(is_hardware(sample.xid) for sample in samples.get(card, ()))


def by_card(samples: Iterable[GpuSample]) -> dict[str, dict[int, Samples]]:
    """Node -> card -> its sample, or those of its slices."""
    found: dict[str, dict[int, list[GpuSample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        found[sample.node][sample.index].append(sample)
    return {node: dict(cards) for node, cards in found.items()}


def _node(
    node: NodeFacts, samples: Mapping[int, Samples], at: float, blind: bool
) -> list[tuple[int, ...]]:
    return [
        _cell(node, card, samples.get(card, ()), UNKNOWN if blind else allocated, at)
        for card, allocated in enumerate(allocations(node, samples))
    ]


def _cell(
    node: NodeFacts, card: int, samples: Samples, allocated: int, at: float
) -> tuple[int, ...]:
    marks = _marks(node, card, samples, allocated)
    if not samples:
        return (UNKNOWN, UNKNOWN, allocated, UNKNOWN, UNKNOWN, UNKNOWN, marks)
    return (
        _code(utilisation(samples), PERCENT_STEPS),
        _code(memory_used(samples), PERCENT_STEPS),
        allocated,
        _code(highest(sample.power for sample in samples), 1 / WATT_STEP),
        _code(highest(sample.temperature for sample in samples), 1),
        _idle(idle_from(node, samples, allocated, at), samples, at),
        marks,
    )


def _marks(node: NodeFacts, card: int, samples: Samples, allocated: int) -> int:
    broken = allocated == FAULTY or any(is_hardware(sample.xid) for sample in samples)
    return (
        (FAULT if broken else 0)
        | (0 if card else FIRST)
        | (SHARED if node.sharing != "none" else 0)
        | (ERROR if not broken and any(sample.xid for sample in samples) else 0)
        | (_NOBODY_KNOWS if allocated == UNKNOWN else allocated) << 4
    )


def utilisation(samples: Samples) -> float | None:
    """Percent of the card; the mean of its slices."""
    known = [s.util for s in samples if s.util is not None and math.isfinite(s.util)]
    return sum(known) / len(known) if known else None


def memory_used(samples: Samples) -> float | None:
    """Percent of the card's memory; its slices together."""
    used = total = 0.0
    for sample in samples:
        if sample.memory_used is not None and sample.memory_total:
            used, total = used + sample.memory_used, total + sample.memory_total
    return 100 * used / total if total > 0 and math.isfinite(used) else None


def highest(values: Iterable[float | None]) -> float | None:
    return max((v for v in values if v is not None and math.isfinite(v)), default=None)


def total(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None and math.isfinite(v)]
    return sum(known) if known else None


def idle_since(samples: Samples) -> float | None:
    """Unix seconds since when every slice has been idle; None: busy, or unknown."""
    since = [sample.idle_since for sample in samples]
    known = [moment for moment in since if moment is not None and math.isfinite(moment)]
    return max(known) if known and len(known) == len(since) else None


def idle_from(node: NodeFacts, samples: Samples, allocated: int, at: float) -> float | None:
    """`idle_since` of one card of the node; of a held one not from before its holder came."""
    since = idle_since(samples)
    return since if since is None or allocated != FULL else with_holder(node, samples, since, at)


def with_holder(node: NodeFacts, samples: Samples, since: float, at: float) -> float:
    """From when on a card that idles since `since` idles for who holds it now, at most `at`.

    A holder that has not started begins now. Where the card is one of several holders' and nobody
    says whose, it counts from the last to come: what is charged to anybody is certain.
    """
    came = dict(zip((pod for pod, _, _ in node.holders), node.held_since, strict=False))
    starts = [came[pod] for pod in pods_at(node, samples) if pod in came]
    return min(at, max([since, *(at if start is None else start for start in starts)]))


def pods_at(node: NodeFacts, samples: Samples) -> tuple[str, ...]:
    """The holders that exporters name for a card, else all that hold any on its node."""
    pods = sorted({pod for pod, _, _ in node.holders})
    said = {pod for sample in samples for pod in sample.pods}
    return tuple(pod for pod in pods if pod in said) or tuple(pods)


def _idle(since: float | None, samples: Samples, at: float) -> int:
    if since is not None:
        return idle_code(at - since)
    return NOT_EXPORTED if utilisation(samples) is None else 0


def _code(value: float | None, steps: float) -> int:
    return NOT_EXPORTED if value is None else _byte(value * steps)


def _byte(value: float) -> int:
    return max(0, min(MOST, round(value)))
