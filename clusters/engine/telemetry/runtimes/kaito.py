"""What KAITO adds: gauges of the download of weights; the JSON of its transformers runtime.

That JSON knows load and temperature of its cards only. Its memory figures are near 0 by a wrong
division and are not read. Source: kaito presets/workspace/inference/*/inference_api.py.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from clusters.engine.telemetry.exposition import Page
from clusters.engine.telemetry.runtimes.draft import Draft
from clusters.engine.telemetry.types import RuntimeReading

_SPEED = "kaito_model_download_speed_bytes_per_second"
_LEFT = "kaito_model_download_remaining_seconds"
NAMES = (_SPEED, _LEFT)


def add_download(draft: Draft) -> None:
    """-1 is KAITO's unknown: a gauge below 0 is left out."""
    for signal, name in (("download_speed", _SPEED), ("download_left", _LEFT)):
        if draft.page.has(name):
            draft.exported.add(signal)
            draft.summed(signal, draft.page.series(name))


def is_json(body: bytes, content_type: str) -> bool:
    return "json" in content_type.lower() or body[:64].lstrip()[:1] == b"{"


def read(body: bytes) -> RuntimeReading | None:
    """Gauges `gpu_load` (mean, 0..100) and `gpu_temperature` (highest, degrees C) where known."""
    try:
        page = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(page, dict) or not {"gpu_info", "cpu_info"} & page.keys():
        return None
    cards = page.get("gpu_info")
    cards = [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []
    draft = Draft("kaito-transformers", Page())
    loads = [value for card in cards if (value := _leading(card.get("load"))) is not None]
    heats = [value for card in cards if (value := _leading(card.get("temperature"))) is not None]
    if loads:
        draft.averaged("gpu_load", [({}, value) for value in loads])
    if heats:
        draft.averaged("gpu_temperature", [({}, max(heats))])
    return draft.reading()


def _leading(value: Any) -> float | None:
    """25.0 of "25.00%", 55.0 of "55 C"."""
    if not isinstance(value, str):
        return None
    try:
        found = float(value.rstrip("%C \t"))
    except ValueError:
        return None
    return found if math.isfinite(found) else None
