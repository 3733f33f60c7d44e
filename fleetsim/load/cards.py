"""What a GPU does under each kind of work, by the quarter minute. Pure; G cards by T moments.

Kinds: train (steady, pauses for checkpoints), batch (some hours on, some off), notebook (a burst
now and then at working hours), idle (held and never used), serving (follows its engine).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetsim.load.noise import Floats, Ints, Keys, smooth, uniform

SLOT_MS = 15_000
IDLE_CELSIUS = 29.0
KINDS = ("train", "batch", "notebook", "idle", "serving")
_HELD = {"train": 0.88, "batch": 0.62, "notebook": 0.31, "idle": 0.18, "serving": 0.9}  # memory
# Watts at full load and at rest, by a part of the product's name; the first that fits.
_WATTS = (
    ("H100-NVL", 400.0, 62.0), ("H100", 700.0, 70.0), ("H200", 700.0, 75.0),
    ("A100-SXM", 400.0, 56.0), ("A100", 300.0, 50.0), ("A10G", 300.0, 28.0),
    ("A10", 150.0, 20.0), ("L4", 72.0, 13.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class State:
    """G x T each: utilisation 0..100, MiB in use, W, degrees Celsius."""

    util: Floats
    memory: Floats
    power: Floats
    heat: Floats


def watts(product: str) -> tuple[float, float]:
    """(at full load, at rest) of a card."""
    found = ((most, least) for part, most, least in _WATTS if part in product)
    return next(found, (300.0, 40.0))


def slots(moments: Ints) -> Ints:
    """Seconds since 1970 of the exporter's last look before each moment (ms)."""
    found: Ints = moments // SLOT_MS * (SLOT_MS // 1000)
    return found


def work(kind: str, seed: Keys, seconds: Ints, hour_offset: int) -> Floats:
    """Utilisation 0..100 of cards (G x 1 keys) at moments (1 x T seconds) for a kind of work."""
    noise = uniform(seed, seconds // 15)
    if kind == "train":
        phase = (seed[:1] % np.uint64(1800)).astype(np.int64)  # all cards of a job pause together
        pause = (seconds + phase) % 1800 < 75
        return np.where(pause, 6 + 8 * noise, 90 + 9.5 * noise)
    if kind == "batch":
        on = uniform(seed + np.uint64(1), seconds // 7200) < 0.55
        level = 66 + 14 * smooth(seed + np.uint64(2), seconds, 900) + 10 * noise
        return np.where(on, level, 0.0)
    if kind == "notebook":
        hour = (seconds // 3600 + hour_offset) % 24
        awake = (hour >= 9) & (hour < 19)
        burst = uniform(seed + np.uint64(3), seconds // 600) < 0.12
        return np.where(awake & burst, 15 + 45 * noise, 0.0)
    return np.zeros(np.broadcast_shapes(seed.shape, seconds.shape))


def serving(pressure: Floats, seed: Keys, seconds: Ints) -> Floats:
    """Utilisation of cards whose engine runs at this share of its capacity (T values, 0: idle).

    A few requests already keep a card busy most of the time: it decodes without pause.
    """
    busy = 28 + 66 * np.sqrt(np.minimum(pressure, 1.0)) + 6 * (uniform(seed, seconds // 15) - 0.5)
    found: Floats = np.where(pressure > 0, np.clip(busy, 1.0, 100.0), 0.0)
    return found


def held(kind: str) -> float:
    """Share of a card's memory that this kind of work fills."""
    return _HELD.get(kind, 0.0)


def state(util: Floats, share: Floats, product: str, mib: int, warmth: float) -> State:
    """Everything that follows from utilisation and memory share. `warmth`: extra degrees."""
    most, least = watts(product)
    memory = np.round(share * mib * 0.97) + 4
    waking = np.where(share > 0, 0.06, 0.0)  # a context keeps the clocks up
    power = least + (most - least) * np.maximum(waking, 0.12 * (util > 0) + 0.83 * util / 100)
    heat = IDLE_CELSIUS + 44 * (power - least) / (most - least) + warmth
    return State(util.round(), memory, power.round(3), heat.round())


def energy(power: Floats, seconds: NDArray[np.int64]) -> Floats:
    """mJ since the first of the hours: power at each full hour (G x H), moments (T, s since the
    first hour). Grows without pause.
    """
    before = np.concatenate([np.zeros((power.shape[0], 1)), np.cumsum(power * 3.6e6, axis=1)], 1)
    hour = np.minimum(seconds // 3600, power.shape[1] - 1)
    found: Floats = before[:, hour].round() + power[:, hour] * (seconds - hour * 3600) * 1000
    return found.round()
