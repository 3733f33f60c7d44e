"""What runtimes and GPUs say about themselves, as plain values that are also stored.

Three kinds of silence are kept apart: a signal that a runtime never exports (its name is missing
from `exported`), one that it exports but had no data for (exported, and missing here), and 0.
Structs are stored as arrays (msgpack): add fields only at the end, with a default.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

# Names of signals; units: requests and tokens are counts, times seconds, cache a ratio 0..1.
COUNTERS = (
    "requests",  # finished, however they ended
    "errors",  # finished by the server's fault: no aborts, no bad input
    "prompt_tokens",
    "generation_tokens",
    "preemptions",
    "cache_queries",  # prefix cache, tokens
    "cache_hits",
)
HISTOGRAMS = ("ttft", "itl", "tpot", "e2e", "queue")  # seconds
GAUGES = ("running", "waiting", "kv_usage", "download_speed", "download_left")


class Histogram(msgspec.Struct, frozen=True, array_like=True):
    """`counts[i]` observations in (bounds[i-1], bounds[i]]; the last one is above every bound.

    len(counts) == len(bounds) + 1. `total` is the sum of the observations in seconds.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        return sum(self.counts)


class RuntimeReading(msgspec.Struct, frozen=True, array_like=True):
    """One scrape of one pod: counters and histograms since its process started."""

    runtime: str  # vllm | sglang | tgi | triton | trtllm | kaito-transformers
    model: str  # the served name; "" where the runtime does not say
    counters: Mapping[str, int]
    histograms: Mapping[str, Histogram]
    gauges: Mapping[str, float]
    means: Mapping[str, tuple[float, int]]  # signals known as a sum of seconds and a count only
    exported: tuple[str, ...]  # sorted names of signals that this runtime exports at all


class PodCount(msgspec.Struct, frozen=True, array_like=True):
    """One pod's exact share of a tick. `slow` counts come from the histograms when asked for."""

    pod: str  # name
    uid: str
    counters: Mapping[str, int]
    histograms: Mapping[str, Histogram]
    reset: bool = False  # its counters had started again


class Tick(msgspec.Struct, frozen=True, array_like=True):
    """What one subject (InferenceSet or Workspace) did on one cluster in `seconds`.

    `pods` are kept for the finest resolution only; sums are over the pods that answered.
    """

    seconds: float  # that the differences span: longer after looks without an answer, which have 0
    pods_expected: int
    pods_answered: int
    counters: Mapping[str, int]
    histograms: Mapping[str, Histogram]
    gauges: Mapping[str, float]  # running, waiting: sums; kv_usage: mean; over the span
    means: Mapping[str, tuple[float, int]]
    exported: tuple[str, ...]
    runtime: str
    road: str  # direct | prometheus | backfill
    pods: tuple[PodCount, ...] = ()


class ServingNow(msgspec.Struct, frozen=True, array_like=True):
    """The gauges of one pod at the last scrape; a pod that did not answer says why."""

    subject: str  # namespace/name of our object
    namespace: str
    pod: str
    uid: str
    runtime: str
    model: str
    gauges: Mapping[str, float]
    exported: tuple[str, ...]
    problem: str = ""
    since: float | None = None  # unix seconds from which its next difference counts; None: unknown


class GpuSample(msgspec.Struct, frozen=True, array_like=True):
    """One card, or one MIG instance of it. None: not exported, or not now.

    `index` is the card's number on its node. Units: %, MiB, W, degrees Celsius.
    """

    node: str
    index: int
    uuid: str
    vendor: str  # nvidia | amd | intel
    model: str
    util: float | None = None  # 0..100
    memory_used: float | None = None  # MiB
    memory_total: float | None = None  # MiB
    power: float | None = None  # W
    temperature: float | None = None  # degrees C
    tensor: float | None = None  # 0..100, tensor pipe active
    xid: int | None = None  # last error number; 0: none; sticky
    xid_changed: bool = False  # since the scrape before
    mig: str = ""  # profile of the instance
    pods: tuple[str, ...] = ()  # namespace/name
    idle_since: float | None = None  # unix seconds; None: busy, or unknown


class Target(msgspec.Struct, frozen=True):
    """A pod that is to be scraped."""

    kind: str  # serving | dcgm | hami | amd
    namespace: str
    pod: str
    uid: str
    node: str
    port: int
    path: str
    subject: str  # namespace/name of our object; "" for exporters
    started: float | None = None  # unix seconds; of the pod


class Scrape(msgspec.Struct, frozen=True):
    """One look at a cluster by either road. `at`: unix seconds. None: that kind was not asked."""

    at: float
    road: str  # direct | prometheus
    readings: Mapping[str, RuntimeReading]  # by pod uid
    targets: tuple[Target, ...]
    gpus: tuple[GpuSample, ...] | None
    problems: Mapping[str, str]  # pod uid -> why it did not answer
    problem: str = ""  # why there is nothing at all
