"""What metrics cost the database: bytes a day by table, and how long the one writer is held.

A cluster has ten nodes of eight measured cards and four deployments of two vLLM pods each. Real
scrapes' values go through the real service; sizes are what SQLite's dbstat says of the rows.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import cycle, islice, pairwise
from math import log
from statistics import NormalDist

from bench import portal  # first: it sets Django up

# isort: split
from django.db import connection

from bench.placement import fleet
from bench.report import Line, ms, table
from clusters.engine.telemetry.types import (
    GpuSample,
    Histogram,
    RuntimeReading,
    Scrape,
    Target,
)
from clusters.models import Cluster, ServingPack, ServingTick, Watch
from clusters.services.telemetry import Seen, looks_store
from clusters.services.telemetry_packs import packs_due, span_pack
from clusters.services.telemetry_retention import BATCH as PRUNED
from clusters.services.telemetry_retention import ticks_prune

CLUSTERS, NODES, CARDS, SUBJECTS, PODS = 20, 10, 8, 4, 2
LOOKS = 4 * 61  # a little more than an hour
BATCH = 10  # clusters in one transaction
NOON = 1_800_000_000.0
BOUNDS = {
    "ttft": (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
             10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
    "itl": (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
            10.0, 20.0, 40.0, 80.0),
    "e2e": (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0,
            120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
}  # fmt: skip
MEDIAN = {"ttft": 0.12, "itl": 0.018, "e2e": 2.6, "queue": 0.05, "tpot": 0.018}
BOUNDS |= {"queue": BOUNDS["e2e"], "tpot": BOUNDS["itl"]}
EXPORTED = (
    "cache_hits", "cache_queries", "e2e", "errors", "generation_tokens", "itl", "kv_usage",
    "preemptions", "prompt_tokens", "queue", "requests", "running", "tpot", "ttft", "waiting",
)  # fmt: skip
HOUR, DAY = 3600, 86_400
# Rows of one subject that are kept: ticks until they are packed, and packs.
ROWS = {15: 6 * HOUR // 15, 60: 75, HOUR: 24}
PACKS = {60: 14 * 24, HOUR: 400}
PER_DAY = {60: 24, HOUR: 1}


class Pod:
    """A process that counts."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._requests = self._tokens = 0
        self._counts = {name: [0] * (len(bounds) + 1) for name, bounds in BOUNDS.items()}
        self._totals = dict.fromkeys(BOUNDS, 0.0)

    def reading(self) -> RuntimeReading:
        new = self._dice.randint(5, 40)
        self._requests += new
        self._tokens += new * 130
        for name in BOUNDS:
            self._observe(name, new)
        tokens = {"prompt_tokens": self._requests * 420, "generation_tokens": self._tokens}
        counters = {"requests": self._requests, "errors": 0, "preemptions": 0, **tokens}
        counters |= {"cache_queries": self._requests * 420, "cache_hits": self._requests * 84}
        gauges = {"running": float(new // 3), "waiting": 0.0, "kv_usage": self._dice.random()}
        histograms = {
            name: Histogram(BOUNDS[name], tuple(counts), self._totals[name])
            for name, counts in self._counts.items()
        }
        return RuntimeReading("vllm", "phi", counters, histograms, gauges, {}, EXPORTED)

    def _observe(self, name: str, count: int) -> None:
        places = range(len(BOUNDS[name]) + 1)
        for place in self._dice.choices(places, WEIGHTS[name], k=count):
            self._counts[name][place] += 1
        self._totals[name] += count * MEDIAN[name] * 1.2


def _weights(name: str) -> list[float]:
    """How much of a log-normal spread falls into each bucket."""
    below = [NormalDist(log(MEDIAN[name]), 0.6).cdf(log(bound)) for bound in BOUNDS[name]]
    return [high - low for low, high in pairwise([0.0, *below, 1.0])]


WEIGHTS = {name: _weights(name) for name in BOUNDS}


def main() -> int:
    print(table(lines()))
    return 0


def lines() -> list[Line]:
    portal.migrate()
    portal.clusters_create(fleet(CLUSTERS))
    clusters = list(Cluster.objects.order_by("name"))
    Watch.objects.bulk_create([Watch(cluster=one, lease_token=1) for one in clusters])
    spent, held = run(clusters)
    each = tick_bytes()
    packing = pack()
    found = [*speed(spent), _held(f"store {BATCH} clusters", held), *sizes(each)]
    return [*found, _held(f"pack {SUBJECTS} series of a cluster", packing), _held_pruning()]


def run(clusters: list[Cluster]) -> tuple[list[float], list[float]]:
    """An hour of looks. CPU seconds of every store of BATCH clusters, and the database's."""
    dice = random.Random(1)
    worlds = {one.pk: _world(dice) for one in clusters}
    spent, held = [], []
    for look in range(LOOKS):
        for first in range(0, len(clusters), BATCH):
            batch = clusters[first : first + BATCH]
            seen = [
                Seen(one.pk, _scrape(NOON + 15 * look, worlds[one.pk], dice), 1) for one in batch
            ]
            began = time.process_time()
            held.append(looks_store(seen).held)
            spent.append(time.process_time() - began)
    return spent, held


def pack() -> list[float]:
    """The hour, and a day that is put together from every series' hour. Seconds each time."""
    hours = list(ServingTick.objects.filter(resolution=HOUR).order_by("pk"))
    midnight = NOON // DAY * DAY
    ServingTick.objects.filter(resolution=HOUR).delete()
    for number, row in enumerate(hours):
        others = islice(cycle(hours), number, number + 24)
        ServingTick.objects.bulk_create(
            ServingTick(
                cluster_id=row.cluster_id,
                subject=row.subject,
                resolution=HOUR,
                at=datetime.fromtimestamp(midnight + HOUR * hour, UTC),
                packed=other.packed,
            )
            for hour, other in enumerate(others)
        )
    held: list[float] = []
    while due := packs_due(datetime.fromtimestamp(NOON + DAY, UTC), most=CLUSTERS):
        held += map(span_pack, due)
    return held


def _world(dice: random.Random) -> Mapping[Target, Pod]:
    names = [f"fp-assist/chat-{number}" for number in range(SUBJECTS)]
    return {
        Target(
            "serving",
            "fp-assist",
            f"{name[10:]}-1a2b3-{pod}",
            f"{dice.getrandbits(128):032x}",
            f"node-{pod}",
            5000,
            "/metrics",
            name,
        ): Pod(dice)
        for name in names
        for pod in range(PODS)
    }


def _scrape(at: float, world: Mapping[Target, Pod], dice: random.Random) -> Scrape:
    readings = {target.uid: pod.reading() for target, pod in world.items()}
    return Scrape(at, "direct", readings, tuple(world), tuple(_cards(dice)), {})


def _cards(dice: random.Random) -> Iterable[GpuSample]:
    for node in range(NODES):
        for index in range(CARDS):
            uuid = f"GPU-{node:08x}-{index:04x}-4c39-9a57-0123456789ab"
            used, power = float(dice.randint(1000, 80_000)), float(dice.randint(60, 700))
            yield GpuSample(
                *(f"node-{node}.internal", index, uuid, "nvidia", "NVIDIA H100 80GB HBM3"),
                util=float(dice.randint(0, 100)),
                memory_used=used,
                memory_total=81_559.0,
                power=power,
                temperature=float(dice.randint(30, 80)),
                xid=0,
            )


def speed(spent: list[float]) -> list[Line]:
    ordered = sorted(spent)
    share = sum(spent) / len(spent) / BATCH * 1_000 / 15
    return [
        _line(f"store {BATCH} clusters, CPU, median", ms(ordered[len(ordered) // 2] * 1e3)),
        _line(f"store {BATCH} clusters, CPU, p95", ms(ordered[len(ordered) * 95 // 100] * 1e3)),
        Line(
            *("1,000 clusters every 15 s", f"{share:.0%} of one core", "", None, "< 100 %"),
            passed=share < 1,
        ),
    ]


def _line(what: str, words: str) -> Line:
    return Line(what, words, "", None, "", None)


def _held(what: str, seconds: list[float]) -> Line:
    ordered = sorted(seconds)
    middle, worst = ordered[len(ordered) // 2] * 1e3, ordered[-1] * 1e3
    return _line(f"{what}, writer held", f"{ms(middle)} median, {ms(worst)} worst")


def _held_pruning() -> Line:
    began = time.monotonic()
    gone = ticks_prune(datetime.fromtimestamp(NOON + 8 * HOUR, UTC), batches=10)
    return _held(f"prune {PRUNED} rows", [(time.monotonic() - began) * PRUNED / gone])


def sizes(each: Mapping[int, float]) -> list[Line]:
    """Bytes a day that are written anew, and what stands there once everything is kept long
    enough, for 9, 100 and 1,000 clusters."""
    packs = pack_bytes()
    found = [
        _line(f"bytes of a tick of {seconds} s", f"{size:.0f}") for seconds, size in each.items()
    ]
    for seconds, size in packs.items():
        found.append(_line(f"bytes of a pack of ticks of {seconds} s", f"{size:,.0f}"))
    series = sum(each[seconds] * DAY / seconds for seconds in ROWS)
    series += sum(packs[seconds] * rows for seconds, rows in PER_DAY.items())
    kept = sum(each[seconds] * rows for seconds, rows in ROWS.items())
    kept += sum(packs[seconds] * rows for seconds, rows in PACKS.items())
    found.append(_line("bytes of one series in the end", f"{kept:,.0f}"))
    state, hours = _size("telemetry") + _size("heatrow"), _hour_bytes()
    per_day = SUBJECTS * series + hours * 24
    kept = SUBJECTS * kept + state + hours * 24 * 7 + 250 * 24 * 393
    found.append(_line("bytes of an hour of 80 cards", f"{hours:,.0f}"))
    found.append(_line("bytes of the state now", f"{state:,.0f}"))
    for count in (9, 100, 1_000):
        words = f"{per_day * count / 1e6:,.0f} MB a day, {kept * count / 1e9:,.2f} GB kept"
        found.append(_line(f"{count:,} clusters", words))
    return found


def tick_bytes() -> dict[int, float]:
    """With its share of the indexes; blobs differ by length of the tick, the rest does not."""
    rows = ServingTick.objects.count()
    overhead = _total("servingtick") / rows
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT resolution, avg(length(packed)), (SELECT avg(length(packed)) FROM "
            "clusters_servingtick) FROM clusters_servingtick GROUP BY resolution"
        )
        return {seconds: overhead - mean + size for seconds, size, mean in cursor.fetchall()}


def pack_bytes() -> dict[int, float]:
    """With its share of the indexes, by length of the ticks: whole spans only."""
    overhead = _total("servingpack") / ServingPack.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("SELECT avg(length(packed)) FROM clusters_servingpack")
        mean = cursor.fetchone()[0]
        cursor.execute(
            "SELECT resolution, avg(length(packed)) FROM clusters_servingpack "
            "WHERE resolution = 60 OR start = (SELECT min(start) FROM clusters_servingpack) "
            "GROUP BY resolution"
        )
        return {seconds: overhead - mean + size for seconds, size in cursor.fetchall()}


def _hour_bytes() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(length(packed)) FROM clusters_gpuhour WHERE minutes = 60")
        return float(cursor.fetchone()[0]) + 250


def _size(name: str) -> float:
    return _total(name) / CLUSTERS


def _total(name: str) -> float:
    """A table and its indexes, in bytes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name IN "
            "(SELECT name FROM sqlite_master WHERE tbl_name = %s)",
            [f"clusters_{name}"],
        )
        return float(cursor.fetchone()[0])


if __name__ == "__main__":
    sys.exit(main())
