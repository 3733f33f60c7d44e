"""Which card is whose: nodes with GPUs, the pods on their cards now and before, and what they do.

A kubelet's device manager remembers as much. The table is built when somebody looks and something
has changed since; times of a pod on its cards are kept, so that the past can be told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from fleetsim.actors import loads, naming
from fleetsim.actors.loads import PAST_MS
from fleetsim.actors.objects import (
    Obj,
    digest,
    finished,
    gpus_of,
    key_of,
    labels,
    meta,
    node_ready,
    notes_of,
)
from fleetsim.load import cards
from fleetsim.load.cards import State
from fleetsim.load.noise import Floats, Ints, key, keys

if TYPE_CHECKING:
    from fleetsim.actors.member import Member
    from fleetsim.store import ClusterStore
    from fleetsim.table import Change

XID_NOTE, HOT_NOTE = "fleetsim.dev/xid", "fleetsim.dev/hot"
SPLIT_NOTE = "fleetsim.dev/hami-split"
ALLOCATED = "hami.io/vgpu-devices-allocated"
KIND_LABEL = "fleetsim.dev/load"
_BY_NAME = {"train": "train", "fine": "train", "embed": "batch", "sim": "batch", "note": "notebook"}
_FAR = 2**62


def uuid(seed: int, card: int) -> str:
    """A card's identity."""
    text = digest(f"{seed}/{card}", 32)
    return f"GPU-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def seed_of(store: ClusterStore, node: str) -> int:
    """What makes a node's cards what they are."""
    return key(store.fleet.seed, store.name, node)


@dataclass(slots=True)
class Tenancy:
    """A pod holds cards from `start` to `end` (ms since 1970; None: still)."""

    uid: str
    namespace: str
    pod: str
    container: str
    kind: str
    workspace: str
    cards: tuple[int, ...]
    start: int
    end: int | None = None
    portion: float = 1.0  # of each card, by HAMi


@dataclass(slots=True)
class Rack:
    """One node's cards. `xids`: card, number, since when (ms)."""

    name: str
    product: str
    count: int
    mib: int
    seed: int
    warmth: float = 0.0
    xids: list[tuple[int, int, int]] = field(default_factory=list)
    tenancies: list[Tenancy] = field(default_factory=list)
    split: int = 0  # HAMi's parts of a card; 0: not HAMi
    gone: int | None = None
    rows: list[str] | None = None  # labels as an exporter writes them, until something changes
    spent: tuple[int, Floats, Floats] | None = None  # hour, mJ before it, W in it

    def uuid(self, card: int) -> str:
        """As the driver says it."""
        return uuid(self.seed, card)

    def free_cards(self) -> list[int]:
        """Healthy cards that nobody holds now."""
        bad = {card for card, _, _ in self.xids}
        taken = {card for t in self.tenancies if t.end is None for card in t.cards}
        return [card for card in range(self.count) if card not in bad | taken]


@dataclass(slots=True)
class Floor:
    """All racks of a cluster by node, the gone ones included."""

    racks: dict[str, Rack] = field(default_factory=dict)
    touched: int | None = 0  # when something changed that is not in the table yet; None: nothing
    left: dict[str, int] = field(default_factory=dict)  # uids that went since the last look
    listening: bool = False


def racks(m: Member) -> dict[str, Rack]:
    """The table, brought up to date."""
    floor = m.floor
    if not floor.listening:
        floor.listening = True
        for kind in ("Pod", "Node"):
            m.store.table(kind).listeners.append(lambda change: _touch(m, change))
    if floor.touched is not None:
        moment, floor.touched = floor.touched or m.joined, None
        _look(m, moment)
    return floor.racks


def _touch(m: Member, change: Change) -> None:
    now = loads.millis(m)
    if m.floor.touched is None:
        m.floor.touched = now
    if change.type == "DELETED":
        m.floor.left[change.new.uid] = now


def _look(m: Member, moment: int) -> None:
    known = m.floor.racks
    for rack in known.values():
        rack.rows = rack.spent = None
    nodes = {meta(node)["name"]: node for node in m.store.list("Node") if _has_cards(node)}
    for name, node in nodes.items():
        rack = known.setdefault(name, _rack(m, node))
        rack.gone = None
        _mark(m, rack, node)
    for name, rack in known.items():
        if name not in nodes and rack.gone is None:
            rack.gone = moment
    holders = [pod for pod in m.store.list("Pod") if _holds(pod, known)]
    _leave(m.floor, {meta(pod)["uid"] for pod in holders}, moment)
    seated = {t.uid for rack in known.values() for t in rack.tenancies}
    for pod in sorted(holders, key=lambda pod: (meta(pod)["creationTimestamp"], key_of(pod))):
        if meta(pod)["uid"] not in seated:
            _seat(m, known[pod["spec"]["nodeName"]], pod, moment)


def _has_cards(node: Obj) -> bool:
    return node_ready(node) and labels(node).get("nvidia.com/gpu.count", "").isdigit()


def _holds(pod: Obj, known: dict[str, Rack]) -> bool:
    return pod["spec"].get("nodeName") in known and gpus_of(pod) > 0 and not finished(pod)


def _rack(m: Member, node: Obj) -> Rack:
    found = labels(node)
    name = meta(node)["name"]
    memory = found.get("nvidia.com/gpu.memory", "")
    return Rack(
        name,
        found.get("nvidia.com/gpu.product", ""),
        int(found["nvidia.com/gpu.count"]),
        int(memory) if memory.isdigit() else 0,
        seed_of(m.store, name),
        split=int(notes_of(node).get(SPLIT_NOTE, 0)),
    )


def _mark(m: Member, rack: Rack, node: Obj) -> None:
    """Faults and heat that the node's annotations tell: `card:number[:seconds before the start]`.

    A mark that came later counts from when it was seen.
    """
    notes = notes_of(node)
    rack.warmth = 13.0 if notes.get(HOT_NOTE) else 0.0
    known = {(card, number): since for card, number, since in rack.xids}
    found = []
    for part in filter(None, notes.get(XID_NOTE, "").split(",")):
        card, number, *ago = (int(word) for word in part.split(":"))
        since = m.joined - 1000 * ago[0] if ago else loads.millis(m)
        found.append((card, number, known.get((card, number), since)))
    rack.xids = found


def _leave(table: Floor, uids: set[str], moment: int) -> None:
    left, table.left = table.left, {}
    for rack in table.racks.values():
        for tenancy in rack.tenancies:
            if tenancy.end is None and tenancy.uid not in uids:
                tenancy.end = left.get(tenancy.uid, moment)
        oldest = moment - PAST_MS
        rack.tenancies = [t for t in rack.tenancies if t.end is None or t.end > oldest]


def _seat(m: Member, rack: Rack, pod: Obj, moment: int) -> None:
    chosen, portion = _cards(rack, pod)
    start = _start(m, pod, moment)
    if start < m.joined:  # what held the cards before, held them until then
        ends = [t.end or 0 for t in rack.tenancies if set(t.cards) & set(chosen)]
        start = max([start, *ends])
    namespace, name = key_of(pod)
    container = pod["spec"]["containers"][0]["name"]
    workspace = labels(pod).get(naming.WORKSPACE, "")
    kind = "serving" if workspace else _kind(pod)
    tenancy = Tenancy(meta(pod)["uid"], namespace, name, container, kind, workspace, chosen, start)
    tenancy.portion = portion
    rack.tenancies.append(tenancy)


def _start(m: Member, pod: Obj, moment: int) -> int:
    """Since when a pod holds its cards (ms); what was there from the start, for a week before."""
    made = datetime.fromisoformat(meta(pod)["creationTimestamp"]).timestamp() * 1000
    if "managedFields" not in meta(pod):  # seeded: nobody ever wrote it
        return m.joined - PAST_MS
    past = loads.past_of(m, labels(pod), moment) if naming.WORKSPACE in labels(pod) else None
    return max(round(made), moment) if past is None else past


def _cards(rack: Rack, pod: Obj) -> tuple[tuple[int, ...], float]:
    """Which cards, and what share of each: HAMi's annotation says so, else whole free ones."""
    told = notes_of(pod).get(ALLOCATED, "")
    if not rack.split:
        return tuple(rack.free_cards()[: gpus_of(pod)]), 1.0
    rows = [part.split(",") for part in told.replace(";", ":").split(":") if part]
    numbers = {rack.uuid(card): card for card in range(rack.count)}
    found = tuple(numbers[row[0]] for row in rows if row[0] in numbers)
    return found, int(rows[0][2]) / rack.mib if rows and rack.mib else 1.0


def _kind(pod: Obj) -> str:
    """How other people's pods use their cards: a label says it, or the name does."""
    told = labels(pod).get(KIND_LABEL, "")
    name = meta(pod)["name"].partition("-")[0]
    return told if told in cards.KINDS else _BY_NAME.get(name, "idle")


def state(m: Member, rack: Rack, moments: Ints) -> State:
    """What the cards of a node do at these moments (ms since 1970): G x T."""
    seconds = cards.slots(moments)[None, :]
    slots = seconds[0] * 1000
    seed = (keys(rack.seed) + np.arange(rack.count, dtype=np.uint64) * np.uint64(1009))[:, None]
    util = np.zeros((rack.count, len(moments)))
    share = np.zeros_like(util)
    for tenancy in rack.tenancies:
        rows = (slots >= tenancy.start) & (slots < (tenancy.end or _FAR))
        if not tenancy.cards or not rows.any():
            continue
        mine = list(tenancy.cards)
        share[np.ix_(mine, rows)] += tenancy.portion * cards.held(tenancy.kind)
        if tenancy.kind == "serving":
            pressure = _pressure(m, tenancy, slots[rows])
            done = cards.serving(pressure, seed[mine], seconds[:, rows])
        else:
            offset = loads.offset(m.spec.region)
            done = cards.work(tenancy.kind, seed[mine], seconds[:, rows], offset)
        util[np.ix_(mine, rows)] += tenancy.portion * done
    for card, _, since in rack.xids:
        util[card, slots >= since] = 0.0
    return cards.state(np.minimum(util, 100.0), share, rack.product, rack.mib, rack.warmth)


def _pressure(m: Member, tenancy: Tenancy, moments: Ints) -> Floats:
    """Share of its capacity that the engine behind a tenancy runs at."""
    served = m.loads.engines.get(tenancy.uid)
    found = [served] if served else [
        each for each in m.loads.all()
        if each.uid == tenancy.uid
        or (each.namespace, each.workspace) == (tenancy.namespace, tenancy.workspace)
    ]  # fmt: skip
    total = np.zeros(len(moments))
    for each in found:
        total = np.maximum(total, each.meter.pressure(moments))
    return total


def energy(m: Member, rack: Rack, moments: Ints) -> Floats:
    """mJ used by each card since a week before the cluster came: G x T."""
    first = (m.joined - PAST_MS) // 3_600_000 * 3_600_000
    seconds = np.maximum(cards.slots(moments) - first // 1000, 0)
    if len(seconds) == 1 and rack.spent is not None and rack.spent[0] == seconds[0] // 3600:
        return _energy_now(rack.spent, int(seconds[0]))
    hours = np.arange(int(seconds.max(initial=0)) // 3600 + 1, dtype=np.int64) * 3_600_000 + first
    power = state(m, rack, hours).power
    found = cards.energy(power, seconds)
    if len(seconds) == 1:
        last = len(hours) - 1
        rack.spent = (last, cards.energy(power, hours[-1:] // 1000 - first // 1000), power[:, -1:])
    return found


def _energy_now(spent: tuple[int, Floats, Floats], seconds: int) -> Floats:
    hour, before, power = spent
    found: Floats = (before + power * (seconds - hour * 3600) * 1000).round()
    return found
