"""One hour of a cluster's GPUs by the minute, as bytes: utilisation and memory of every card.

Layout: one byte (0 plain, 1 zlib), then msgpack of (cards, util, memory); util and memory hold 60
bytes for each card, in percent, 255 for unknown. A plain chunk can be added to.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from clusters.engine.telemetry.types import GpuSample

MINUTES = 60
UNKNOWN = 255
_PLAIN, _ZLIB = b"\x00", b"\x01"

Bytes = npt.NDArray[np.uint8]
Card = tuple[str, int, str]  # node, index, uuid


class Hour(msgspec.Struct, frozen=True):
    """`util` and `memory` have a row for each card and a column for each minute of the hour."""

    cards: tuple[Card, ...]
    util: Bytes  # percent; 255: unknown
    memory: Bytes  # percent of the card's memory; 255: unknown


_Stored = tuple[tuple[Card, ...], bytes, bytes]
_decoder = msgspec.msgpack.Decoder(_Stored)
_encoder = msgspec.msgpack.Encoder()


def append(packed: bytes, minute: int, samples: Iterable[GpuSample]) -> bytes:
    """The chunk with one more minute (0..59); the same minute again replaces it. b"": a new hour.

    Cards that come in during the hour are unknown before, those that leave are unknown after.
    """
    hour = decode(packed)
    now = {(gpu.node, gpu.index, gpu.uuid): gpu for gpu in samples}
    known = set(hour.cards)
    cards = (*hour.cards, *(card for card in now if card not in known))
    util, memory = _grown(hour.util, len(cards)), _grown(hour.memory, len(cards))
    util[:, minute] = [_byte(now[card].util) if card in now else UNKNOWN for card in cards]
    memory[:, minute] = [_byte(_memory(now.get(card))) for card in cards]
    return encode(Hour(cards, util, memory))


def encode(hour: Hour, *, closed: bool = False) -> bytes:
    """`closed`: compressed, for an hour that is over."""
    body = _encoder.encode((hour.cards, hour.util.tobytes(), hour.memory.tobytes()))
    return _ZLIB + zlib.compress(body, 6) if closed else _PLAIN + body


def close(packed: bytes) -> bytes:
    return packed if packed[:1] == _ZLIB else encode(decode(packed), closed=True)


def decode(packed: bytes) -> Hour:
    """b"" is an hour without cards. Raises ValueError on bytes that are no chunk."""
    if not packed:
        return Hour((), _grown(_NONE, 0), _grown(_NONE, 0))
    try:
        body = zlib.decompress(packed[1:]) if packed[:1] == _ZLIB else packed[1:]
        cards, util, memory = _decoder.decode(body)
        shape = (len(cards), MINUTES)
        return Hour(cards, _table(util, shape), _table(memory, shape))
    except (zlib.error, msgspec.MsgspecError, ValueError) as error:
        raise ValueError(f"not a chunk of GPU minutes: {error}") from error


def busy(table: Bytes) -> tuple[int, float]:
    """GPU-minutes that are known, and their sum where 100 % for a minute is 1."""
    known = table != UNKNOWN
    return int(known.sum()), float(table[known].sum(dtype=np.float64)) / 100.0


_NONE: Bytes = np.full((0, MINUTES), UNKNOWN, dtype=np.uint8)


def _grown(table: Bytes, cards: int) -> Bytes:
    grown = np.full((cards, MINUTES), UNKNOWN, dtype=np.uint8)
    grown[: len(table)] = table
    return grown


def _table(held: bytes, shape: tuple[int, int]) -> Bytes:
    return np.frombuffer(held, dtype=np.uint8).reshape(shape)


def _byte(percent: float | None) -> int:
    return UNKNOWN if percent is None else min(100, max(0, round(percent)))


def _memory(gpu: GpuSample | None) -> float | None:
    if gpu is None or gpu.memory_used is None or not gpu.memory_total:
        return None
    return 100.0 * gpu.memory_used / gpu.memory_total
