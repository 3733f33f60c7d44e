"""A reading that is being put together by an adapter: what is there is added, the rest missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from clusters.engine.telemetry.exposition import (
    Page,
    Series,
    count,
    histogram,
    mean,
    total,
)
from clusters.engine.telemetry.types import Histogram, RuntimeReading

Histograms = Mapping[str, tuple[str, ...]]  # signal -> its names, the newest first


def series_of(histograms: Histograms) -> tuple[str, ...]:
    """Every name that these histograms have on a page."""
    names = (name for known in histograms.values() for name in known)
    return tuple(name + end for name in names for end in ("_bucket", "_sum", "_count"))


class Draft:
    """`always`: signals that this runtime exports in every version, with or without a value."""

    def __init__(self, runtime: str, page: Page, always: Iterable[str] = ()) -> None:
        self.runtime = runtime
        self.page = page
        self.exported = set(always)
        self.counters: dict[str, int] = {}
        self.histograms: dict[str, Histogram] = {}
        self.gauges: dict[str, float] = {}
        self.means: dict[str, tuple[float, int]] = {}

    def counter(self, signal: str, series: Sequence[Series]) -> None:
        value = count(series)
        if value is not None:
            self.counters[signal] = self.counters.get(signal, 0) + value
            self.exported.add(signal)

    def counted(self, signal: str, *names: str) -> None:
        """The first of the names that the page knows."""
        name = self.first(*names)
        if name:
            self.exported.add(signal)
            self.counter(signal, self.page.series(name))

    def histogram(self, signal: str, *names: str, scale: float = 1.0) -> None:
        """The first of the names that the page knows, in seconds after `scale`."""
        name = self.first(*names)
        if not name:
            return
        self.exported.add(signal)
        held = histogram(self.page, name, scale=scale)
        if held is not None:
            self.histograms[signal] = held

    def each_histogram(self, names: Histograms) -> None:
        for signal, known in names.items():
            self.histogram(signal, *known)

    def mean_of(self, signal: str, seconds: Sequence[Series], counts: Sequence[Series]) -> None:
        """A signal of which only the sum (in seconds) and the count are known."""
        amount, number = total(seconds), count(counts)
        if amount is not None and number is not None:
            self.means[signal] = (amount, number)

    def summed(self, signal: str, series: Iterable[Series]) -> None:
        self._gauge(signal, total(series))

    def averaged(self, signal: str, series: Iterable[Series]) -> None:
        self._gauge(signal, mean(series))

    def ratio(self, signal: str, series: Iterable[Series]) -> None:
        """The mean of ratios 0..1; anything else is no ratio, and unknown."""
        value = mean(series)
        if value is not None and 0 <= value <= 1:
            self._gauge(signal, value)

    def load(self, running: str, waiting: str, usage: str) -> None:
        """What nearly every engine tells of itself: requests in flight, and its cache's use."""
        self.summed("running", self.page.series(running))
        self.summed("waiting", self.page.series(waiting))
        self.ratio("kv_usage", self.page.series(usage))

    def _gauge(self, signal: str, value: float | None) -> None:
        if value is not None and math.isfinite(value) and value >= 0:
            self.gauges[signal] = value
            self.exported.add(signal)

    def first(self, *names: str) -> str:
        return next((name for name in names if self.page.has(name)), "")

    def reading(self, label: str = "model_name") -> RuntimeReading:
        return RuntimeReading(
            runtime=self.runtime,
            model=self._model(label),
            counters=self.counters,
            histograms=self.histograms,
            gauges=self.gauges,
            means=self.means,
            exported=tuple(sorted(self.exported)),
        )

    def _model(self, label: str) -> str:
        labelled = (labels for held in self.page.samples.values() for labels, _ in held)
        return next((labels[label] for labels in labelled if labels.get(label)), "")


def only(series: Iterable[Series], label: str, *values: str) -> list[Series]:
    return [one for one in series if one[0].get(label) in values]


def failed(series: Iterable[Series], label: str) -> list[Series]:
    """Answers with a server's error, whether codes are exact ("503") or grouped ("5xx")."""
    return [
        one for one in series if len(code := one[0].get(label, "")) == 3 and code.startswith("5")
    ]


def under(series: Iterable[Series], label: str, *starts: str) -> list[Series]:
    return [one for one in series if one[0].get(label, "").startswith(starts)]
