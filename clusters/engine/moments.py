"""What a cluster held at some minute, as a few bytes: its nodes, its pools, and what was not seen.

Layout: zlib, with a dictionary, of msgpack (nodes, pools, blind); nodes and pools are the bytes of
the cluster's row. The dictionary holds what every row repeats (the names of fields) and halves the
size of a small cluster's moment. What is stored needs it for ever: it must never change.
"""

from __future__ import annotations

import zlib

import msgspec

_LEVEL, _WINDOW, _MEMORY = 6, 15, 9  # of zlib
_NODE = {
    "name": "gpu-node-0",
    "pool": "NVIDIA-H100-80GB-HBM3x8:p5.48xlarge",
    "instance_type": "p5.48xlarge",
    "ready": True,
    "cordoned": False,
    "physical": 8,
    "allocatable": 8,
    "used": 0,
    "zone": "us-east-1a",
    "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
    "holders": [["fp-team/chat-0", 1, "chat"]],
    "sharing": "none",
    "workspace": "",
    "blocked": "",
    "vendor": "nvidia",
    "gpu_model": "NVIDIA-H100-80GB-HBM3",
    "gpu_memory_mib": 81559,
    "capacity_type": "on-demand",
    "provider": "aws",
    "region": "us-east-1",
    "node_group": "gpu",
    "cards": [],
    "shares": [],
}
_POOL = {
    "key": "NVIDIA-H100-80GB-HBM3x8:p5.48xlarge",
    "kind": "existing",
    "gpu_model": "NVIDIA-H100-80GB-HBM3",
    "gpu_memory_mib": 81559,
    "gpus_per_node": 8,
    "instance_type": "p5.48xlarge",
    "nodes": 1,
    "physical": 8,
    "allocatable": 8,
    "used": 0,
    "free": 8,
    "whole_free_nodes": 1,
    "largest_free_group": 8,
    "capacity_type": "on-demand",
    "compute_capability": 9.0,
    "price_per_hour": None,
    "quota_nodes": None,
    "selector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8"},
    "taints": [],
    "sharing": "none",
    "vendor": "nvidia",
}


class Moment(msgspec.Struct, frozen=True):
    """`blind`: the portal was not allowed to see all of it; nothing was known to be free then."""

    nodes: bytes
    pools: bytes
    blind: bool = False


_Stored = tuple[bytes, bytes, bool]
_decoder = msgspec.msgpack.Decoder(_Stored)
_encoder = msgspec.msgpack.Encoder()
DICTIONARY = _encoder.encode([_POOL, _NODE])


def encode(moment: Moment) -> bytes:
    """Equal moments give equal bytes."""
    body = _encoder.encode((moment.nodes, moment.pools, moment.blind))
    squeezed = zlib.compressobj(
        _LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, DICTIONARY
    )
    return squeezed.compress(body) + squeezed.flush()


def decode(packed: bytes) -> Moment:
    """Raises ValueError on bytes that are no moment."""
    try:
        return Moment(*_decoder.decode(zlib.decompressobj(zdict=DICTIONARY).decompress(packed)))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"not a moment of a cluster: {error}") from error
