"""The series that a cluster's Prometheus holds: every engine's and exporter's, at any moments.

Computed from the same functions as the texts of a scrape, up to seven days before the cluster came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fleetsim.actors import exporters, floor, naming
from fleetsim.actors.exporters import DCGM, HAMI
from fleetsim.actors.floor import Rack, Tenancy
from fleetsim.actors.loads import PAST_MS, Served
from fleetsim.actors.member import Member
from fleetsim.actors.objects import digest, meta
from fleetsim.load.noise import Floats, Ints
from fleetsim.promql.evaluate import Series, Vector
from fleetsim.promql.parse import Matcher
from fleetsim.runtimes import catalog, dcgm
from fleetsim.runtimes.family import Labels, summed

FAR = 2**62
Truths = NDArray[np.bool_]


class History:
    """One cluster's series. `whole` (ms): counters go on over restarts, and for so long after their
    end.
    """

    def __init__(self, m: Member) -> None:
        self.m = m

    def collect(self, matchers: tuple[Matcher, ...], moments: Ints, whole: int) -> Vector:
        """Every matching series with its values (NaN: no sample)."""
        wanted = Wanted(matchers)
        found: Vector = []
        for served in self.m.loads.all():
            found += self._engine(served, wanted, moments, whole)
        for rack in floor.racks(self.m).values():
            found += self._cards(rack, wanted, moments, whole)
        return found

    def names(self) -> list[str]:
        """Every metric name there may be now."""
        found = {"up"} if self.m.loads.all() or floor.racks(self.m) else set()
        for served in self.m.loads.all():
            for family in catalog.families(served.runtime, served.version):
                found |= set(family.names)
        if floor.racks(self.m):
            found |= set(dcgm.NAMES)
        return sorted(found)

    def _engine(
        self, served: Served, wanted: Wanted, moments: Ints, whole: int
    ) -> Iterator[Series]:
        target = _target_of(served)
        families = catalog.families(served.runtime, served.version)
        chosen = [f for f in families if any(wanted.named(name) for name in f.names)]
        if not wanted.may(target) or not (chosen or wanted.named("up")):
            return
        sheets = served.sheets(moments) if whole else [served.sheet(moments)]
        there = _lasting(served, moments, whole) if whole else sheets[0].work.alive
        if not there.any():
            return
        if wanted.named("up") and wanted.fits(target):
            yield {"__name__": "up", **target}, np.where(there, 1.0, np.nan)
        for family in chosen:
            for name, own, values in summed(family, sheets):
                labels = _merged(target, own, honour=False)
                if wanted.named(name) and wanted.fits(labels):
                    yield {"__name__": name, **labels}, np.where(there, values, np.nan)

    def _cards(self, rack: Rack, wanted: Wanted, moments: Ints, whole: int) -> Iterator[Series]:
        first = self.m.joined - PAST_MS
        there = (moments >= first) & (moments < (rack.gone or FAR - whole) + whole)
        target = self._target(rack, DCGM)
        if wanted.may({"node": rack.name}) and there.any():
            if wanted.named("up") and wanted.fits(target):
                yield {"__name__": "up", **target}, np.where(there, 1.0, np.nan)
            if any(wanted.named(name) for name in dcgm.NAMES):
                yield from self._dcgm(rack, wanted, moments, whole, there)
            if rack.split:
                yield from self._hami(rack, wanted, moments, there)

    def _dcgm(
        self, rack: Rack, wanted: Wanted, moments: Ints, whole: int, there: Truths
    ) -> Iterator[Series]:
        values = dcgm.values(exporters.readings(self.m, rack, moments))
        target, honour = self._target(rack, DCGM), exporters.old(self.m)
        for card in range(rack.count):
            own = dcgm.labels(card, rack.uuid(card), rack.product, rack.name, honour)
            for start, end, holder in _segments(rack, card):
                rows = there & (moments >= start) & (moments < min(end, FAR - whole) + whole)
                if not rows.any():
                    continue
                labels = _merged(target, (*own, *_held_by(holder)), honour)
                for name in filter(wanted.named, dcgm.NAMES):
                    if wanted.fits(labels):
                        value = values[name][card]
                        if whole and dcgm.NAMES[name] == "counter":
                            value = self._since(rack, card, max(start, 0), value)
                        yield {"__name__": name, **labels}, np.where(rows, value, np.nan)

    def _since(self, rack: Rack, card: int, start: int, value: Floats) -> Floats:
        """A counter as if it had begun with the series, so that differences see no jump."""
        found: Floats = value - floor.energy(self.m, rack, np.array([start]))[card, 0]
        return found

    def _hami(self, rack: Rack, wanted: Wanted, moments: Ints, there: Truths) -> Iterator[Series]:
        target = self._target(rack, HAMI)
        for name, own, values in exporters.hami_rows(self.m, rack, moments):
            labels = _merged(target, own, exporters.old(self.m))
            if wanted.named(name) and wanted.fits(labels):
                yield {"__name__": name, **labels}, np.where(there, values, np.nan)

    def _target(self, rack: Rack, kind: str) -> dict[str, str]:
        pod = exporters.pod(kind, rack.name)
        return {
            "namespace": meta(pod)["namespace"],
            "pod": meta(pod)["name"],
            "container": exporters.CONTAINERS[kind],
            "node": rack.name,
            "job": "nvidia-dcgm-exporter" if kind == DCGM else "hami-device-plugin-monitor",
            "instance": f"10.244.251.{int(digest(rack.name, 2), 16)}:{exporters.PORTS[kind]}",
        }


class Wanted:
    """Matchers, asked by name and by labels."""

    def __init__(self, matchers: tuple[Matcher, ...]) -> None:
        self._names = [m for m in matchers if m.label == "__name__"]
        self._labels = [m for m in matchers if m.label != "__name__"]
        self._known: dict[str, bool] = {}

    def named(self, name: str) -> bool:
        """Whether a metric's name fits."""
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = all(m.holds(name) for m in self._names)
        return found

    def may(self, target: dict[str, str]) -> bool:
        """Whether anything with these labels may fit: a cheap look before the work."""
        return all(m.holds(target[m.label]) for m in self._labels if m.label in target)

    def fits(self, labels: dict[str, str]) -> bool:
        """Whether a series fits (its name was asked for already)."""
        return all(m.holds(labels.get(m.label, "")) for m in self._labels)


def _target_of(served: Served) -> dict[str, str]:
    """What a PodMonitor puts on an engine's series."""
    found = {
        "namespace": served.namespace,
        "pod": served.name,
        "container": served.container,
        "node": served.node,
        "job": "kaito/inference",
        "instance": f"{served.address}:5000",
        "endpoint": "http",
    }
    for label in (naming.WORKSPACE, naming.CREATED_BY):
        if label in served.labels:
            found[label.replace(".", "_").replace("/", "_").replace("-", "_")] = served.labels[
                label
            ]
    return found


def _lasting(served: Served, moments: Ints, whole: int) -> Truths:
    """From the first life's beginning until so long after the last one's end."""
    lives = served.meter.lives
    if not lives:
        return np.zeros(len(moments), dtype=np.bool_)
    end = lives[-1].end
    last = FAR if end is None else end + whole
    return (moments >= lives[0].start) & (moments < last)


def _merged(target: dict[str, str], own: Labels, honour: bool) -> dict[str, str]:
    """Target's labels and the exposition's; empty ones are none. Without honorLabels the
    exposition's own become exported_*.
    """
    found = dict(target)
    for key, value in own:
        if value:
            found[key if honour or key not in target else f"exported_{key}"] = value
    return found


def _held_by(holder: Tenancy | None) -> Labels:
    if holder is None:
        return ()
    return (("container", holder.container), ("namespace", holder.namespace), ("pod", holder.pod))


def _segments(rack: Rack, card: int) -> Iterable[tuple[int, int, Tenancy | None]]:
    """Who held a card when; the free times between."""
    at = 0
    held = [] if rack.split else [t for t in rack.tenancies if card in t.cards]
    for tenancy in sorted(held, key=lambda t: t.start):
        if tenancy.start > at:
            yield at, tenancy.start, None
        at = FAR if tenancy.end is None else tenancy.end
        yield tenancy.start, at, tenancy
    if at < FAR:
        yield at, FAR, None
