"""Repeatable randomness without a generator: a hash of (key, number), over whole arrays."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = (np.uint64(bits) for bits in (30, 27, 31, 11))


def key(*parts: object) -> int:
    """A number of 64 bits for a name of several parts."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def keys(*numbers: int) -> Keys:
    """Keys as an array."""
    return np.array(numbers, dtype=np.uint64)


def uniform(seed: Keys, number: Ints) -> Floats:
    """Values in [0, 1) of key and number (splitmix64), broadcast against each other."""
    with np.errstate(over="ignore"):
        mixed = seed + number.astype(np.uint64) * _STEP
        mixed = (mixed ^ (mixed >> _S30)) * _MIX1
        mixed = (mixed ^ (mixed >> _S27)) * _MIX2
    mixed ^= mixed >> _S31
    found: Floats = (mixed >> _S11).astype(np.float64) / 2.0**53
    return found


def smooth(seed: Keys, seconds: Ints, period: int) -> Floats:
    """Noise in [-1, 1] that changes gently: linear between random values, one each `period` s."""
    step = seconds // period
    part = (seconds - step * period) / period
    here, there = uniform(seed, step), uniform(seed, step + 1)
    return 2.0 * (here + (there - here) * part) - 1.0
