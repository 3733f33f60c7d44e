"""Which families an engine of a runtime and version exports."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from fleetsim.runtimes import vllm
from fleetsim.runtimes.family import Family


@lru_cache(maxsize=64)
def families(runtime: str, version: tuple[int, ...]) -> Sequence[Family]:
    """Of one engine; empty where the runtime has no Prometheus text."""
    return vllm.families(version)
