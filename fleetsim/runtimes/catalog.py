"""Which families an engine of a runtime and version exports."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from fleetsim.runtimes import sglang, tgi, triton, vllm
from fleetsim.runtimes.family import Family

JSON_ONLY = "kaito-transformers"
PORTS = {"vllm": 8000, "sglang": 30000, "tgi": 80, "triton": 8002}  # besides KAITO's 5000
_FIXED = {"sglang": sglang.FAMILIES, "tgi": tgi.FAMILIES, "triton": triton.FAMILIES, JSON_ONLY: ()}


@lru_cache(maxsize=64)
def families(runtime: str, version: tuple[int, ...]) -> Sequence[Family]:
    """Of one engine; empty where the runtime has no Prometheus text."""
    fixed = _FIXED.get(runtime)
    return vllm.families(version) if fixed is None else fixed
