"""Ticks and counters as the bytes that rows hold: a tenth of their msgpack.

Most of a tick is names and bucket bounds that every tick repeats. They stand in a dictionary that
deflate begins with (RFC 1951 by zlib). The dictionary may never change: a new one is a new number
in the first byte. Plain msgpack is read as well.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from clusters.engine.telemetry.columns import Columns, columns_of, ticks_of
from clusters.engine.telemetry.types import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    Histogram,
    PodCount,
    RuntimeReading,
    Tick,
)

_ONE = b"\x01"  # the first byte: deflate with dictionary 1. No msgpack of ours begins so.
_LEVEL = 6
MOST = 64 << 20  # bytes that one value may unpack to

# Bounds of vLLM (ttft, inter-token, whole requests), SGLang and TGI, in seconds.
_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
         20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)  # fmt: skip
_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
          20.0, 40.0, 80.0)  # fmt: skip
_WHOLE = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0,
          240.0, 480.0, 960.0, 1920.0, 7680.0)  # fmt: skip
_SGLANG_TTFT = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0,
                100.0, 200.0, 400.0, 600.0, 1200.0, 1800.0, 2400.0)  # fmt: skip
_SGLANG_TOKEN = (0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.06,
                 0.08, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0)  # fmt: skip
_TGI = tuple(0.00015 * 1.5**power for power in range(35))

_tick = msgspec.msgpack.Decoder(Tick)
_columns = msgspec.msgpack.Decoder(tuple[Columns, ...])
_readings = msgspec.msgpack.Decoder(dict[str, RuntimeReading])
_encoder = msgspec.msgpack.Encoder()

T = TypeVar("T")


def pack_tick(tick: Tick) -> bytes:
    return _deflated(_encoder.encode(tick))


def unpack_tick(packed: bytes) -> Tick:
    """Raises ValueError on bytes that are no tick."""
    return _decoded(packed, _tick)


def pack_ticks(ticks: Mapping[int, Tick]) -> bytes:
    """Ticks of one series by their place in a span, in less than half of what each takes alone."""
    return _deflated(_encoder.encode(columns_of(ticks)))


def unpack_ticks(packed: bytes) -> dict[int, Tick]:
    """By place. Raises ValueError on bytes that are no ticks."""
    columns = _decoded(packed, _columns)
    return ticks_of(columns)


def pack_readings(readings: Mapping[str, RuntimeReading]) -> bytes:
    """By pod uid."""
    return _deflated(_encoder.encode(readings))


def unpack_readings(packed: bytes) -> dict[str, RuntimeReading]:
    """b"": none. Raises ValueError on bytes that are no readings."""
    return _decoded(packed, _readings) if packed else {}


def _decoded(packed: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    try:
        return decoder.decode(_inflated(packed) if packed[:1] == _ONE else packed)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"not what was packed: {error}") from error


def _deflated(body: bytes) -> bytes:
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15, zdict=DICTIONARY)
    return _ONE + deflater.compress(body) + deflater.flush()


def _inflated(packed: bytes) -> bytes:
    return zlib.decompressobj(-15, zdict=DICTIONARY).decompress(packed[1:], MOST)


def _dictionary() -> bytes:
    """What is met most stands last, where it costs the fewest bits."""
    tgi = {"tpot": _empty(_TGI), "e2e": _empty(_TGI), "queue": _empty(_TGI)}
    sglang = {"ttft": _empty(_SGLANG_TTFT), "itl": _empty(_SGLANG_TOKEN)}
    vllm = {name: _empty(_WHOLE) for name in HISTOGRAMS}
    vllm |= {"ttft": _empty(_TTFT), "itl": _empty(_TOKEN), "tpot": _empty(_TOKEN)}
    parts = (_example("tgi", tgi), _example("sglang", sglang), _example("vllm", vllm))
    return b"".join(_encoder.encode(part) for part in parts)


def _empty(bounds: tuple[float, ...]) -> Histogram:
    return Histogram(bounds, (0,) * (len(bounds) + 1), 0.0)


def _example(runtime: str, histograms: Mapping[str, Histogram]) -> Tick:
    counters = dict.fromkeys(COUNTERS, 0)
    return Tick(
        seconds=15.0,
        pods_expected=1,
        pods_answered=1,
        counters=counters,
        histograms=histograms,
        gauges=dict.fromkeys(GAUGES, 0.0),
        means={},
        exported=tuple(sorted((*COUNTERS, *HISTOGRAMS, *GAUGES))),
        runtime=runtime,
        road="direct",
        pods=(PodCount("workspace-0", "uid", counters, histograms),),
    )


DICTIONARY = _dictionary()
