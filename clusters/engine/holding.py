"""A node's reading and what pods and claims hold there, together as its facts. Pure.

Three ways of counting, for the three ways in which clusters give cards out: resources of a device
plugin, HAMi's annotations, claims of dynamic resource allocation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from clusters.engine.accelerators import ALL_OF_IT, NEURON_CORES, cards_for
from clusters.engine.dra import DraCluster, DraNode, cards_of, shares_of
from clusters.engine.hami import HamiNode, with_use
from clusters.engine.nodes import NodeReading
from clusters.engine.pods import PodHold
from clusters.engine.taints import blocking_taint
from clusters.engine.types import CardFacts, NodeFacts, ShareFacts

Holders = tuple[tuple[str, int, str], ...]


class Owner(msgspec.Struct, frozen=True):
    """A pod that may hold by claims: its KAITO workspace or "", and since when it runs."""

    workspace: str = ""
    started: float | None = None


NOBODY = Owner()


class Count(msgspec.Struct, frozen=True):
    """What a node has and what of it is held, in the units of its sharing."""

    allocatable: int
    used: int
    holders: Holders
    cards: tuple[CardFacts, ...] = ()
    shares: tuple[ShareFacts, ...] = ()


def node_facts(
    reading: NodeReading,
    pool: str,
    holds: Sequence[PodHold],
    dra: DraCluster,
    owners: Mapping[str, Owner],
) -> NodeFacts:
    """`holds`: of pods on this node; `owners`: of pods that hold by claims."""
    signs = reading.signs
    if signs.hami and signs.hami.cards:
        count = _by_hami(signs.hami, holds)
    else:
        count = _by_plugin(reading, [hold for hold in holds if hold.name not in dra.pods])
        if signs.dra:
            count = _by_claims(reading, signs.dra, count, dra, owners)
    holders = tuple(sorted(count.holders))
    started = {hold.name: hold.started for hold in holds}
    return NodeFacts(
        name=reading.name,
        pool=pool,
        instance_type=reading.instance_type,
        ready=reading.ready,
        cordoned=reading.cordoned,
        physical=reading.physical,
        allocatable=count.allocatable,
        used=min(count.allocatable, count.used),
        zone=reading.place.zone,
        taints=reading.taints,
        holders=holders,
        held_since=tuple(
            owners[pod].started if pod in owners else started.get(pod) for pod, _, _ in holders
        ),
        sharing=reading.sharing,
        workspace=reading.workspace,
        blocked=_why_blocked(reading),
        vendor=reading.vendor,
        gpu_model=reading.gpu_model,
        gpu_memory_mib=reading.gpu_memory_mib,
        capacity_type=reading.place.capacity_type,
        provider=reading.place.provider,
        region=reading.place.region,
        node_group=reading.place.node_group,
        cards=count.cards,
        shares=count.shares,
    )


def units_offered(reading: NodeReading) -> int:
    """What device plugins offer now. A figure that cannot be read stands for all that is there:
    the node is blocked then, and its cards are neither free nor called broken."""
    offered = reading.signs.offered
    known = offered.units or cards_for(offered.cores, offered)
    return max(known, reading.physical or 0) if offered.unreadable else known


def _by_plugin(reading: NodeReading, holds: Iterable[PodHold]) -> Count:
    allocatable, offered = units_offered(reading), reading.signs.offered
    asked: dict[str, int] = {}
    holders = []
    for hold in holds:
        cores = hold.asks.get(NEURON_CORES, 0)
        units = hold.units if not cores else hold.units - cores + cards_for(cores, offered)
        holders.append((hold.name, min(units, allocatable), hold.workspace))
        for name, count in hold.asks.items():
            asked[name] = asked.get(name, 0) + count
    parts = reading.parts
    return Count(
        allocatable=allocatable,
        used=min(ALL_OF_IT, sum([units for _, units, _ in holders])),
        holders=tuple(holders),
        shares=tuple(
            ShareFacts(p.profile, p.offered, min(p.offered, asked.get(p.resource, 0)), p.memory_mib)
            for p in parts
        ),
    )


def _by_hami(hami: HamiNode, holds: Sequence[PodHold]) -> Count:
    """In parts of cards. A pod that went past HAMi's scheduler has no annotation: it holds what
    it asked for. Idle parts of cards that are ill or kept back are not on offer."""
    cards = with_use(hami.cards, [part for hold in holds for part in hold.parts])
    held = [
        (hold.name, len(hold.parts) or min(hold.units, ALL_OF_IT), hold.workspace) for hold in holds
    ]
    past = sum(units for (_, units, _), hold in zip(held, holds, strict=True) if not hold.parts)
    used = sum(card.shares_used for card in cards if card.healthy) + past
    offered = sum(
        card.shares_used if card.cordoned else max(card.shares, card.shares_used)
        for card in cards
        if card.healthy
    )
    holders = tuple((name, min(units, offered), workspace) for name, units, workspace in held)
    shares = (ShareFacts("vgpu", offered, min(used, offered)),)
    return Count(offered, used, holders, cards, shares)


def _by_claims(
    reading: NodeReading,
    node: DraNode,
    plugin: Count,
    dra: DraCluster,
    owners: Mapping[str, Owner],
) -> Count:
    """Cards by claims, with what a device plugin beside the driver gave out of the same cards."""
    cards, shares = cards_of(node), shares_of(node)
    if reading.sharing == "mig":
        allocatable, used = _parts(node, shares)
    else:
        allocatable = sum(card.healthy or card.shares_used > 0 for card in cards)
        used = sum(card.shares_used > 0 for card in cards)
    own = {device.key: device.card for device in node.devices}
    holders = []
    for holder in dra.holders:
        mine = [key for key in holder.devices if key in own]
        count = len(mine) if reading.sharing == "mig" else len({own[key] for key in mine})
        if count:
            owner = owners.get(holder.name, NOBODY)
            holders.append((holder.name, count, owner.workspace))
    allocatable = max(allocatable, plugin.allocatable)
    return Count(
        allocatable, used + plugin.used, (*plugin.holders, *holders), cards, shares or plugin.shares
    )


def _parts(node: DraNode, shares: Iterable[ShareFacts]) -> tuple[int, int]:
    """Parts offered and held, with whole cards that stand beside cut ones as one part each."""
    whole = [device for device in node.devices if not device.profile]
    held = sum(device.key in node.taken for device in whole)
    offered = sum(device.key in node.taken or not device.tainted for device in whole)
    shares = list(shares)
    return offered + sum(s.offered for s in shares), held + sum(s.used for s in shares)


def _why_blocked(reading: NodeReading) -> str:
    taint, signs = blocking_taint(reading.taints), reading.signs
    if taint is not None:
        value = f"={taint.value}" if taint.value else ""
        return f"taint {taint.key}{value}:{taint.effect}"
    if signs.offered.unreadable:
        return "the number of GPUs on offer cannot be read"
    if signs.hami and signs.hami.silent:
        return "HAMi's device plugin does not answer its scheduler"
    return f"made for KAITO workspace {reading.workspace}" if reading.workspace else ""
