"""One look at a cluster beside the one before: ticks, gauges now, cards now. Pure.

Counters are compared with what was stored with the last ticks, so that a look that was never
stored is made good by the next one, and none counts twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clusters.engine.raw import CLOCKS_DIFFER
from clusters.engine.telemetry.differences import PodSpan, base, merge, merge_histograms, tick
from clusters.engine.telemetry.gpus import continued
from clusters.engine.telemetry.lag import caught_up
from clusters.engine.telemetry.minutes import key_of
from clusters.engine.telemetry.types import (
    GpuSample,
    PodCount,
    RuntimeReading,
    Scrape,
    ServingNow,
    Target,
    Tick,
)

GAP = 600.0  # seconds; after a longer silence nothing is said of the time between
LONGEST_SUBJECT = 320  # characters: a namespace, a slash and a name
MOST = 2**62  # of a counter: a greater one is nonsense, and no database stores it
NOT_ALLOWED = "Metrics may not be read"  # how a problem begins that hides a pod's past from us
LATE = "No metrics within"  # how one begins that says nothing of whether the pod serves
NONSENSE = "Its counters are too great to be true."


class Known(NamedTuple):
    """What was stored with the look before. `at`: unix seconds; None: there was none."""

    at: float | None = None
    readings: Mapping[str, RuntimeReading] = {}
    gpus: tuple[GpuSample, ...] = ()
    serving: tuple[ServingNow, ...] = ()


class Look(NamedTuple):
    """What is stored now. `ticks`: by subject; `gpus` None: no exporter was asked."""

    ticks: Mapping[str, Tick]
    readings: Mapping[str, RuntimeReading]
    serving: tuple[ServingNow, ...]
    gpus: tuple[GpuSample, ...] | None


def look(known: Known, scrape: Scrape) -> Look:
    """`scrape` must have an answer: a scrape with a `problem` says nothing about time passed."""
    readings = {uid: r for uid, r in scrape.readings.items() if _sane(r)}
    if scrape.road == "prometheus":
        readings = caught_up(known.readings, readings)
    serving = [target for target in scrape.targets if _serves(target)]
    bases = {uid: base(known.readings.get(uid), reading) for uid, reading in readings.items()}
    known = _recent(known, scrape.at)
    pods = {pod.uid: pod for pod in known.serving}
    since = {target.uid: _since(known, pods.get(target.uid), target) for target in serving}
    now = tuple(_now(target, readings, scrape, since[target.uid]) for target in serving)
    if known.at is None:
        return Look({}, bases, now, _cards(known, scrape, now))
    kept = {t.uid: known.readings[t.uid] for t in serving if t.uid in known.readings}
    ticks = {
        subject: _tick(targets, known, scrape, readings, since)
        for subject, targets in _by_subject(serving).items()
    }
    return Look(ticks, {**kept, **bases}, now, _cards(known, scrape, now))


def _recent(known: Known, at: float) -> Known:
    """Without what is too old to be compared with: all of it, or pods that were silent since."""
    if known.at is None or not 0 < at - known.at <= GAP:
        serving = tuple(msgspec.structs.replace(pod, since=None) for pod in known.serving)
        gpus = tuple(msgspec.structs.replace(gpu, idle_since=None) for gpu in known.gpus)
        return Known(None, {}, gpus, serving)
    old = {pod.uid for pod in known.serving if pod.since is not None and at - pod.since > GAP}
    if not old:
        return known
    kept = {uid: reading for uid, reading in known.readings.items() if uid not in old}
    serving = tuple(
        msgspec.structs.replace(pod, since=None) if pod.uid in old else pod for pod in known.serving
    )
    return known._replace(readings=kept, serving=serving)


def _since(known: Known, before: ServingNow | None, target: Target) -> float | None:
    """From when on the next difference of a pod counts; None: nobody knows how far back it goes.

    That is its last answer. Before the first one it is the last look that found it not serving, or
    not there; a process that is older and that nobody saw has a history of its own.
    """
    if target.uid in known.readings:
        return known.at if before is None or before.since is None else before.since
    if before is None:
        return None if _older(target, known.at) else known.at
    if before.since is None or before.problem.startswith(NOT_ALLOWED):
        return None
    return before.since if before.problem.startswith(LATE) else known.at


def _older(target: Target, at: float | None) -> bool:
    return at is not None and target.started is not None and target.started < at - CLOCKS_DIFFER


def _tick(
    targets: Sequence[Target],
    known: Known,
    scrape: Scrape,
    readings: Mapping[str, RuntimeReading],
    since: Mapping[str, float | None],
) -> Tick:
    """It spans the time since any pod of the subject answered, so that its rates are true."""
    spans = [
        PodSpan(
            target.pod,
            target.uid,
            known.readings.get(target.uid),
            readings[target.uid],
            first_counts=since[target.uid] is not None,
        )
        for target in targets
        if target.uid in readings
    ]
    starts = [at for span in spans if (at := since[span.uid]) is not None]
    seconds = scrape.at - max(starts, default=known.at or scrape.at) if spans else 0.0
    return tick(spans, seconds=seconds, pods_expected=len(targets), road=scrape.road)


def _by_subject(targets: Sequence[Target]) -> Mapping[str, list[Target]]:
    found: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        found[target.subject].append(target)
    return found


def _serves(target: Target) -> bool:
    """Labels of a pod are anybody's text: what is no name of ours is nobody's pod."""
    subject = target.subject
    return target.kind == "serving" and len(subject) <= LONGEST_SUBJECT and subject.isprintable()


def _sane(reading: RuntimeReading) -> bool:
    return (
        all(value <= MOST for value in reading.counters.values())
        and all(count <= MOST for _, count in reading.means.values())
        and all(sum(held.counts) <= MOST for held in reading.histograms.values())
    )


def _now(
    target: Target,
    readings: Mapping[str, RuntimeReading],
    scrape: Scrape,
    since: float | None,
) -> ServingNow:
    reading = readings.get(target.uid)
    problem = scrape.problems.get(target.uid, "")
    if reading is None and target.uid in scrape.readings:
        problem = NONSENSE
    return ServingNow(
        subject=target.subject,
        namespace=target.namespace,
        pod=target.pod,
        uid=target.uid,
        runtime=reading.runtime if reading else "",
        model=reading.model if reading else "",
        gauges=reading.gauges if reading else {},
        exported=reading.exported if reading else (),
        problem=problem,
        since=since if reading is None else scrape.at,
    )


# --- cards --------------------------------------------------------------------------------------


def _cards(
    known: Known, scrape: Scrape, serving: Sequence[ServingNow]
) -> tuple[GpuSample, ...] | None:
    """Cards with their idle clocks. One whose pods serve requests is busy, however low its use."""
    if scrape.gpus is None:
        return None
    silent = {
        target.node
        for target in scrape.targets
        if target.kind != "serving" and target.uid in scrape.problems
    }
    found = {key_of(gpu) for gpu in scrape.gpus}
    lost = [gpu for gpu in known.gpus if gpu.node in silent and key_of(gpu) not in found]
    unknown = {key_of(gpu) for gpu in lost if gpu.util is None}  # for the second time
    working = {f"{p.namespace}/{p.pod}" for p in serving if p.gauges.get("running", 0.0) > 0}
    cards = continued(known.gpus, (*scrape.gpus, *map(_blank, lost)), scrape.at)
    return tuple(
        msgspec.structs.replace(gpu, idle_since=None)
        if gpu.idle_since is not None
        and (key_of(gpu) in unknown or not working.isdisjoint(gpu.pods))
        else gpu
        for gpu in cards
    )


def _blank(gpu: GpuSample) -> GpuSample:
    """The card of an exporter that did not answer: it is there, and nothing is known of it."""
    return GpuSample(gpu.node, gpu.index, gpu.uuid, gpu.vendor, gpu.model, mig=gpu.mig)


def measured(cards: Sequence[GpuSample]) -> tuple[int, float]:
    """Physical cards with a known utilisation, and their sum where 100 % is 1.

    Instances of one card count as one: the mean of those that are known.
    """
    found: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for gpu in cards:
        if gpu.util is not None:
            found[gpu.node, gpu.index, gpu.uuid.partition("/")[0]].append(gpu.util)
    return len(found), sum(sum(held) / len(held) for held in found.values()) / 100.0


# --- ticks of the same span ---------------------------------------------------------------------


def added(held: Tick, more: Tick) -> Tick:
    """Two looks that fell into one tick (a restart in between): counts and pods add up."""
    pods = {pod.uid: pod for pod in held.pods}
    for pod in more.pods:
        before = pods.get(pod.uid)
        pods[pod.uid] = pod if before is None else _pod(before, pod)
    return msgspec.structs.replace(merge([held, more]), pods=tuple(pods.values()))


def _pod(held: PodCount, more: PodCount) -> PodCount:
    counters = {
        name: held.counters.get(name, 0) + more.counters.get(name, 0)
        for name in {**held.counters, **more.counters}
    }
    histograms = dict(held.histograms)
    for name, part in more.histograms.items():
        known = histograms.get(name)
        histograms[name] = part if known is None else merge_histograms(known, part)
    return PodCount(held.pod, held.uid, counters, histograms, held.reset or more.reset)


def vanished(before: Sequence[ServingNow], now: Sequence[ServingNow]) -> Collection[str]:
    """Subjects that were looked at the last time and are not there any more."""
    return {pod.subject for pod in before} - {pod.subject for pod in now}
