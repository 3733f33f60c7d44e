"""The few numbers that draining needs from a runtime's metrics page.

Names: vLLM's and, for other runtimes, what takes their place; a name that is not exported is
unknown and never 0. A full reader of expositions is the business of telemetry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size")
WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size")
SAMPLE = re.compile(
    r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{[^\n]*\})?[ \t]+([0-9.eE+-]+)(?:[ \t]+\d+)?$", re.M
)


@dataclass(frozen=True, slots=True)
class InFlight:
    """Requests; None: the runtime does not say."""

    running: float | None
    waiting: float | None


def requests_in_flight(text: str) -> InFlight:
    """Sum of the samples of each name over its label sets. Never raises on what a pod sends."""
    sums: dict[str, float] = {}
    for name, raw in SAMPLE.findall(text):
        if name in RUNNING or name in WAITING:
            value = _number(raw)
            if value is not None:
                sums[name] = sums.get(name, 0.0) + value
    return InFlight(_first(sums, RUNNING), _first(sums, WAITING))


def _first(sums: dict[str, float], names: tuple[str, ...]) -> float | None:
    return next((sums[name] for name in names if name in sums), None)


def _number(raw: str) -> float | None:
    try:
        return float(raw)
    except ValueError:
        return None
