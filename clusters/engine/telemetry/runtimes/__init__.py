"""Serving runtimes' metrics in one language: which runtime answers, and its reading.

Sources: the runtimes' own metric definitions, named in each adapter. Nothing here raises on what
a pod sends; what it does not say is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clusters.engine.telemetry.exposition import Page, read
from clusters.engine.telemetry.runtimes import kaito, sglang, tgi, triton, trtllm, vllm
from clusters.engine.telemetry.runtimes.draft import Draft, Histograms
from clusters.engine.telemetry.types import RuntimeReading

_ADAPTERS = (vllm, sglang, tgi, trtllm, triton)
_READERS: tuple[tuple[Callable[[Page], bool], Callable[[Page], RuntimeReading]], ...] = tuple(
    (adapter.speaks, adapter.read) for adapter in _ADAPTERS
)
HISTOGRAMS: Mapping[str, Histograms] = {  # runtime -> its histograms
    "vllm": vllm.HISTOGRAMS,
    "sglang": sglang.HISTOGRAMS,
    "tgi": tgi.HISTOGRAMS,
    "trtllm": trtllm.HISTOGRAMS,
    "triton": triton.HISTOGRAMS,
}
WANTED = frozenset(name for adapter in _ADAPTERS for name in adapter.NAMES) | {*kaito.NAMES}


def read_runtime(body: bytes, content_type: str = "", *, prefix: str = "") -> RuntimeReading | None:
    """The reading of one pod's metrics page; None when no runtime that we know speaks.

    `prefix` may stand before every metric name (`kserve_`); names without it are read too.
    """
    if kaito.is_json(body, content_type):
        return kaito.read(body)
    return read_page(read(body, WANTED, prefix=prefix))


def read_page(page: Page) -> RuntimeReading | None:
    """The same, of an exposition that is read already, or that a Prometheus was asked for."""
    for speaks, reading_of in _READERS:
        if speaks(page):
            return reading_of(page)
    if any(page.has(name) for name in kaito.NAMES):
        draft = Draft("vllm", page, vllm.ALWAYS)  # KAITO's server answers before vLLM does
        kaito.add_download(draft)
        return draft.reading()
    return None


def read_download(body: bytes, *, prefix: str = "") -> Mapping[str, float]:
    """`download_speed` (bytes/s) and `download_left` (s) while weights come in.

    KAITO says -1 for unknown: that one is missing here.
    """
    draft = Draft("vllm", read(body, kaito.NAMES, prefix=prefix))
    kaito.add_download(draft)
    return draft.gauges


__all__ = ["HISTOGRAMS", "WANTED", "read_download", "read_page", "read_runtime"]
