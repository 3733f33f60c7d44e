"""History read back from a Prometheus: raw counters over time become ticks of minutes. Pure.

A pod that appears within the span counts from its second sample on: nobody knows whether it began
then or whether it was only not scraped before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
import numpy as np

from clusters.engine.telemetry.chunks import MINUTES, UNKNOWN, Bytes, Card, Hour
from clusters.engine.telemetry.differences import PodSpan, merge, tick
from clusters.engine.telemetry.gpus import IDLE_BELOW
from clusters.engine.telemetry.looks import GAP, measured
from clusters.engine.telemetry.prometheus import PodName
from clusters.engine.telemetry.types import GpuSample, RuntimeReading, Tick

History = Mapping[PodName, Sequence[tuple[float, RuntimeReading]]]


def subject_of_pod(pod: PodName, known: Mapping[PodName, str], subjects: Collection[str]) -> str:
    """Whose pod it was: known, or named after an object of ours (KAITO adds one or two words)."""
    if pod in known:
        return known[pod]
    name = "/".join(pod)
    fitting = [
        subject
        for subject in subjects
        if name.startswith(f"{subject}-") and name.count("-") - subject.count("-") in (1, 2)
    ]
    return max(fitting, key=len, default="")


def ticks_of(
    history: History,
    subjects: Mapping[PodName, str],
    *,
    start: float,
    end: float,
    step: int = 60,
) -> dict[str, dict[float, Tick]]:
    """By subject and start of the tick, for [start, end). Samples must begin one step earlier."""
    spans: dict[tuple[str, float], list[PodSpan]] = defaultdict(list)
    for pod, readings in history.items():
        subject = subjects.get(pod, "")
        at = dict(readings)
        for moment, reading in readings if subject else ():
            before = at.get(moment - step)
            if before is not None and start < moment <= end:
                span = PodSpan(pod[1], pod[1], before, reading, first_counts=False)
                spans[subject, moment - step].append(span)
    found: dict[str, dict[float, Tick]] = defaultdict(dict)
    for (subject, moment), held in spans.items():
        made = tick(held, seconds=step, pods_expected=len(held), road="backfill")
        found[subject][moment] = msgspec.structs.replace(made, pods=())
    return found


def hours_of(ticks: Mapping[str, Mapping[float, Tick]]) -> dict[str, dict[float, Tick]]:
    """Ticks of minutes as those of the hours that they are in."""
    found: dict[str, dict[float, Tick]] = {}
    for subject, held in ticks.items():
        hours: dict[float, list[Tick]] = defaultdict(list)
        for at, one in sorted(held.items()):
            hours[at // 3600 * 3600].append(one)
        found[subject] = {start: merge(parts) for start, parts in hours.items()}
    return found


class PastHour(msgspec.Struct, frozen=True):
    """An hour of GPUs; the sums count GPU-minutes as models.GpuHour does."""

    hour: Hour
    minutes: int
    gpu: float
    allocated: float
    measured: float
    busy: float


def hour_of(
    looks: Sequence[tuple[float, tuple[GpuSample, ...]]], *, start: float, step: int
) -> PastHour | None:
    """The hour from `start` on out of looks `step` seconds apart, each true for its whole step.

    None: there are no cards.
    """
    inside = [(at, cards) for at, cards in looks if start <= at < start + 3600 and cards]
    if not inside:
        return None
    keys: dict[Card, int] = {}
    for _, cards in inside:
        for gpu in cards:
            keys.setdefault((gpu.node, gpu.index, gpu.uuid), len(keys))
    util, memory = _empty(len(keys)), _empty(len(keys))
    wide = step // 60
    sums = np.zeros(4)
    for at, cards in inside:
        minute = int((at - start) // 60)
        for gpu in cards:
            row = keys[gpu.node, gpu.index, gpu.uuid]
            util[row, minute : minute + wide] = _byte(gpu.util)
            memory[row, minute : minute + wide] = _byte(_share(gpu))
        sums += np.array(_counts(cards)) * min(wide, MINUTES - minute)
    minutes = int((util != UNKNOWN).any(axis=0).sum())
    return PastHour(Hour(tuple(keys), util, memory), minutes, *(float(value) for value in sums))


def _counts(cards: Sequence[GpuSample]) -> tuple[float, float, float, float]:
    held: dict[tuple[str, int], bool] = {}
    for gpu in cards:
        held[gpu.node, gpu.index] = held.get((gpu.node, gpu.index), False) or bool(gpu.pods)
    known, busy = measured(cards)
    return len(held), sum(held.values()), known, busy


def _empty(cards: int) -> Bytes:
    return np.full((cards, MINUTES), UNKNOWN, dtype=np.uint8)


def _byte(percent: float | None) -> int:
    return UNKNOWN if percent is None else min(100, max(0, round(percent)))


def _share(gpu: GpuSample) -> float | None:
    if gpu.memory_used is None or not gpu.memory_total:
        return None
    return 100.0 * gpu.memory_used / gpu.memory_total


# --- idle since before anybody looked ------------------------------------------------------------


def idle_longer(
    cards: Sequence[GpuSample], hours: Iterable[tuple[float, Hour]]
) -> tuple[GpuSample, ...]:
    """`cards` with the idle clocks of those that idle now set back as far as minutes tell.

    `hours`: (start in unix seconds, minutes), the newest first. A clock stops at the first busy
    minute, and at a silence of more than looks.GAP: it never goes over what nobody knows.
    """
    clocks = {_name(gpu): gpu.idle_since for gpu in cards if gpu.idle_since is not None}
    for start, hour in hours:
        for row, (node, index, uuid) in enumerate(hour.cards):
            name = uuid or f"{node}/{index}"
            if name in clocks:
                clocks[name] = _set_back(clocks[name], start, hour.util[row])
    return tuple(
        msgspec.structs.replace(gpu, idle_since=clocks[_name(gpu)]) if _moved(gpu, clocks) else gpu
        for gpu in cards
    )


def _name(gpu: GpuSample) -> str:
    """Exporters and a Prometheus may call a node differently, a card never."""
    return gpu.uuid or f"{gpu.node}/{gpu.index}"


def _moved(gpu: GpuSample, clocks: Mapping[str, float]) -> bool:
    return gpu.idle_since is not None and clocks[_name(gpu)] < gpu.idle_since


def _set_back(since: float, start: float, util: Bytes) -> float:
    for minute in np.flatnonzero(util != UNKNOWN)[::-1]:
        begin = start + 60.0 * float(minute)
        if begin >= since:
            continue
        if since - (begin + 60.0) > GAP or util[minute] >= IDLE_BELOW:
            break
        since = begin
    return since
