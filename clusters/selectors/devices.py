"""One GPU in words: what it is, what it does, who holds it, what it costs, its last hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from django.urls import reverse

from clusters.engine import heat as engine
from clusters.engine.heat import cards_of
from clusters.engine.seats import Seat, seats
from clusters.engine.telemetry import chunks
from clusters.engine.telemetry.types import GpuSample
from clusters.engine.types import NodeFacts, PoolFacts
from clusters.engine.xids import Xid, xid_of
from clusters.models import Cluster, GpuHour, Telemetry
from clusters.selectors.census import blind, class_of, closed, listed, silent
from clusters.selectors.facts import nodes_of, pools_of
from clusters.selectors.grid import STALE, model_words, node_note, short_name, why_blocked
from clusters.selectors.workloads import ELSEWHERE, OTHER_TEAM, Names, workloads
from fleetportal.accounts.principal import Principal
from fleetportal.kit.errors import Missing

MIB_PER_GIB = 1024
HOUR = timedelta(hours=1)
_samples = msgspec.msgpack.Decoder(tuple[GpuSample, ...])
_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody on the card, as this principal may read it."""

    name: str
    url: str
    pod: str  # namespace/name; "" where the name is not for this reader


@dataclass(frozen=True, slots=True)
class Spark:
    """A line of percents by the minute in a box of `width` x `height`; None: nothing measured."""

    path: str
    minutes: int
    lowest: int
    highest: int
    width: int = 240
    height: int = 40


@dataclass(frozen=True, slots=True)
class Device:
    """Measured figures are None where nobody exports or measures them; GiB, W, %, $/h."""

    cluster: Cluster
    node: str
    short: str
    index: int
    uuid: str
    model: str
    sharing: str
    allocation: str
    why: str
    holders: tuple[Holder, ...]
    sure: bool
    util: float | None
    tensor: float | None
    memory: float | None
    memory_used_gib: float | None
    memory_gib: float | None
    power: float | None
    temperature: float | None
    slices: tuple[str, ...]
    xids: tuple[Xid, ...]
    idle_since: datetime | None
    price: float | None
    measured_at: datetime | None
    away: bool
    stale: bool
    url: str
    spark: Spark | None
    siblings: tuple[tuple[int, str], ...]  # all cards of the node: number, address


def device(principal: Principal, name: str, node: str, index: int, now: datetime) -> Device:
    """Raises Missing where there is no such card, or the principal may not see its cluster."""
    cluster = listed(principal).filter(name=name).first()
    facts = next((one for one in nodes_of(cluster) if one.name == node), None) if cluster else None
    if cluster is None or facts is None or not 0 <= index < cards_of(facts):
        raise Missing("There is no such GPU, or you may not see it.")
    measured_at, samples = measured(cluster)
    return _device(principal, cluster, facts, index, measured_at, samples, now)


def measured(cluster: Cluster) -> tuple[datetime | None, tuple[GpuSample, ...]]:
    """The cluster's samples and their moment."""
    rows = Telemetry.objects.filter(cluster=cluster).values_list("gpus_at", "gpus_packed")
    at, packed = rows.first() or (None, b"")
    return at, _samples.decode(packed) if packed else ()


def _device(
    principal: Principal,
    cluster: Cluster,
    node: NodeFacts,
    index: int,
    at: datetime | None,
    samples: Sequence[GpuSample],
    now: datetime,
) -> Device:
    mine = [one for one in samples if (one.node, one.index) == (node.name, index)]
    pool = next((pool for pool in pools_of(cluster) if pool.key == node.pool), None)
    seat = seats(node, samples)[index]
    used = engine.total(one.memory_used for one in mine)
    size = engine.total(one.memory_total for one in mine)
    kind = engine.allocations(node, engine.by_card(samples).get(node.name, {}))[index]
    since = engine.idle_from(node, mine, kind, now.timestamp())
    return Device(
        cluster=cluster,
        node=node.name,
        short=short_name(node.name),
        index=index,
        uuid=next((one.uuid for one in mine), ""),
        model=model_words(class_of(pool) if pool else node.gpu_model),
        sharing=node.sharing if node.sharing != "none" else "",
        allocation=_allocation(cluster, kind),
        why=node_note(cluster, node) or why_blocked(cluster, node),
        holders=_holders(principal, cluster, seat),
        sure=seat.sure,
        util=engine.utilisation(mine),
        tensor=engine.highest(one.tensor for one in mine),
        memory=engine.memory_used(mine),
        memory_used_gib=None if used is None else used / MIB_PER_GIB,
        memory_gib=size / MIB_PER_GIB if size else _memory_of(pool),
        power=engine.highest(one.power for one in mine),
        temperature=engine.highest(one.temperature for one in mine),
        slices=tuple(sorted(one.mig for one in mine if one.mig)),
        xids=tuple(sorted({x for one in mine if (x := xid_of(one.xid))}, key=lambda x: x.number)),
        idle_since=None if since is None else datetime.fromtimestamp(since, UTC),
        price=_price(pool),
        measured_at=at if mine else None,
        away=silent(cluster),
        stale=at is not None and (now - at).total_seconds() > STALE,
        url=_address(cluster, node, index),
        spark=_spark(cluster, node.name, index, now),
        siblings=tuple((card, _address(cluster, node, card)) for card in range(cards_of(node))),
    )


def _address(cluster: Cluster, node: NodeFacts, card: int) -> str:
    return reverse("gpu", args=[cluster.name, node.name, card])


def _allocation(cluster: Cluster, kind: int) -> str:
    if silent(cluster) or blind(cluster):
        return "unknown"
    return engine.ALLOCATION[engine.BLOCKED if kind == engine.FREE and closed(cluster) else kind]


def _memory_of(pool: PoolFacts | None) -> float | None:
    return pool.gpu_memory_mib / MIB_PER_GIB if pool and pool.gpu_memory_mib else None


def _price(pool: PoolFacts | None) -> float | None:
    """A card's share of its node."""
    if pool is None or pool.price_per_hour is None or not pool.gpus_per_node:
        return None
    return pool.price_per_hour / pool.gpus_per_node


def _holders(principal: Principal, cluster: Cluster, seat: Seat) -> tuple[Holder, ...]:
    if not seat.pods:
        return ()
    names = Names(principal, workloads(principal, [cluster.pk]))
    return tuple(_holder(names, cluster, pod, workspace) for pod, workspace in seat.pods)


def _holder(names: Names, cluster: Cluster, pod: str, workspace: str) -> Holder:
    mine = names.workload(cluster.pk, pod, workspace)
    named = (mine is not None and mine.name) or names.all
    name = names.of(cluster.pk, pod, workspace)
    return Holder(name, mine.url if mine else "", pod if named else "")


def _spark(cluster: Cluster, node: str, index: int, now: datetime) -> Spark | None:
    """The last sixty minutes out of the hours that are kept."""
    hours = GpuHour.objects.filter(cluster=cluster, hour__gt=now - 2 * HOUR, hour__lte=now)
    found: dict[datetime, int] = {}
    for hour, packed in hours.values_list("hour", "packed"):
        found |= _minutes(hour, bytes(packed), node, index)
    line = [(at, value) for at, value in sorted(found.items()) if now - HOUR <= at <= now]
    return _drawn(line, now) if len(line) > 1 else None


def _minutes(hour: datetime, packed: bytes, node: str, index: int) -> dict[datetime, int]:
    """The mean of the card's slices in each minute that has one."""
    table = chunks.decode(packed)
    rows = [place for place, card in enumerate(table.cards) if card[:2] == (node, index)]
    found = {}
    for minute in range(chunks.MINUTES):
        known = [int(v) for row in rows if (v := table.util[row, minute]) != chunks.UNKNOWN]
        if known:
            found[hour + timedelta(minutes=minute)] = sum(known) // len(known)
    return found


def _drawn(line: Sequence[tuple[datetime, int]], now: datetime) -> Spark:
    width, height = 240, 40
    values = [value for _, value in line]
    words, before = [], None
    for at, value in line:
        x = width * (1 - (now - at) / HOUR)
        gap = before is None or at - before > timedelta(minutes=3)
        words.append(f"{'M' if gap else 'L'}{x:.1f} {height - height * value / 100:.1f}")
        before = at
    return Spark(" ".join(words), len(line), min(values), max(values), width, height)


def holders(principal: Principal, name: str) -> bytes:
    """JSON of one cluster: `{node: [why, [who holds card 0], ...]}`; {} where there is none."""
    cluster = listed(principal).filter(name=name).first()
    if cluster is None:
        return b"{}"
    names = Names(principal, workloads(principal, [cluster.pk]))
    _, samples = measured(cluster)
    return _json({node.name: _of_node(cluster, node, names, samples) for node in nodes_of(cluster)})


def _of_node(
    cluster: Cluster, node: NodeFacts, names: Names, samples: Sequence[GpuSample]
) -> list[object]:
    mine = [one for one in samples if one.node == node.name]
    cards = [
        sorted({names.of(cluster.pk, pod, workspace) for pod, workspace in seat.pods})
        for seat in seats(node, mine)
    ]
    return [node_note(cluster, node) or why_blocked(cluster, node), cards]


def teams(principal: Principal) -> bytes:
    """JSON of the fleet: `{cluster: [who holds most of each node, in the order of the nodes]}`;
    "" where nobody holds anything. Names of teams that are not this principal's are not told."""
    rows = list(listed(principal).order_by("name"))
    names = Names(principal, workloads(principal, [cluster.pk for cluster in rows]))
    return _json(
        {
            cluster.name: [_team(cluster, node, names) for node in nodes_of(cluster)]
            for cluster in rows
        }
    )


def _team(cluster: Cluster, node: NodeFacts, names: Names) -> str:
    held: Counter[str] = Counter()
    for pod, gpus, workspace in node.holders:
        mine = names.workload(cluster.pk, pod, workspace)
        held[ELSEWHERE if mine is None else mine.team or OTHER_TEAM] += gpus
    return min(held, key=lambda team: (-held[team], team)) if held else ""
