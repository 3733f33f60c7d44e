"""Which pods sit on which card of a node, as far as anybody says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clusters.engine.heat import FULL, Samples, allocations, by_card, cards_of
from clusters.engine.telemetry.types import GpuSample
from clusters.engine.types import NodeFacts


@dataclass(frozen=True, slots=True)
class Seat:
    """Who sits on one card: (namespace/name of a pod, its KAITO workspace or "").

    `sure`: an exporter named the card; else only the node is known, and cards are filled from
    the left.
    """

    pods: tuple[tuple[str, str], ...]
    sure: bool


def seats(node: NodeFacts, samples: Sequence[GpuSample]) -> list[Seat]:
    """One for each card, in agreement with `allocations`."""
    cards = by_card(samples).get(node.name, {})
    owners = {pod: workspace for pod, _, workspace in node.holders}
    if node.sharing != "none":
        return [_shared_seat(node, cards.get(c, ()), owners) for c in range(cards_of(node))]
    left = [(pod, owner) for pod, gpus, owner in node.holders for _ in range(gpus)]
    found: dict[int, Seat] = {}
    taken = [c for c, kind in enumerate(allocations(node, cards)) if kind == FULL]
    for card in taken:
        named = _named(cards.get(card, ()), owners)
        if named:
            found[card] = Seat(named, sure=True)
            _take(left, named)
    for card, one in zip((c for c in taken if c not in found), left, strict=False):
        found[card] = Seat((one,), sure=False)
    return [found.get(c, Seat((), sure=False)) for c in range(cards_of(node))]


def _take(left: list[tuple[str, str]], named: Iterable[tuple[str, str]]) -> None:
    """One GPU of each of these pods has its card now."""
    for one in named:
        if one in left:
            left.remove(one)


def _named(samples: Samples, owners: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    pods = sorted({pod for sample in samples for pod in sample.pods})
    return tuple((pod, owners.get(pod, "")) for pod in pods)


def _shared_seat(node: NodeFacts, samples: Samples, owners: Mapping[str, str]) -> Seat:
    named = _named(samples, owners)
    if named or not node.used:
        return Seat(named, sure=bool(named))
    return Seat(tuple(sorted(owners.items())), sure=False)
