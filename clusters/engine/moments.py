"""What a cluster held at some minute, as a few bytes: its nodes, its pools, and what was not seen.

Layout: zlib of msgpack (nodes, pools, blind); nodes and pools are the bytes of the cluster's row.
"""

from __future__ import annotations

import zlib

import msgspec

MINUTE = 60  # seconds that one moment stands for
_LEVEL = 6


class Moment(msgspec.Struct, frozen=True):
    """`blind`: the portal was not allowed to see all of it; nothing was known to be free then."""

    nodes: bytes
    pools: bytes
    blind: bool = False


_Stored = tuple[bytes, bytes, bool]
_decoder = msgspec.msgpack.Decoder(_Stored)
_encoder = msgspec.msgpack.Encoder()


def encode(moment: Moment) -> bytes:
    """Equal moments give equal bytes."""
    return zlib.compress(_encoder.encode((moment.nodes, moment.pools, moment.blind)), _LEVEL)


def decode(packed: bytes) -> Moment:
    """Raises ValueError on bytes that are no moment."""
    try:
        return Moment(*_decoder.decode(zlib.decompress(packed)))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"not a moment of a cluster: {error}") from error
