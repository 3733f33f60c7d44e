"""How long things take, in simulated seconds, and how fast a model is once it runs.

Round figures of the clouds' own scale; what matters is their order, and that they repeat.
"""

from __future__ import annotations

import random

from fleetsim.actors.models import Model
from fleetsim.actors.skus import Sku

CLAIM_LAUNCH = 20.0
CLAIM_RETRY = 120.0
NODE_READY = 15.0
DEVICE_PLUGIN = 30.0
NODE_DRAIN = 20.0
NODE_DELETE = 40.0
IMAGE_PULL = 50.0
BENCHMARK = 60.0
PLAIN_START = 3.0
CRASH_BACKOFF = 20.0
POD_STOP = 12.0
RECONCILE_RETRY = 10.0
CONTROLLER_RESTART = 30.0
KEEP_ALIVE = 15.0

_DOWNLOAD_GIB_PER_SECOND = 0.4
_LOAD_GIB_PER_SECOND = 1.5


def jitter(rng: random.Random) -> float:
    """A factor of 0.9 to 1.1."""
    return 0.9 + 0.2 * rng.random()


def boot(sku: Sku) -> float:
    """Seconds from a launched machine to a registered node; eight-GPU machines take longer."""
    return 80.0 + 10.0 * sku.gpus


def download(model: Model, nodes: int) -> float:
    """Seconds of fetching weights; each node fetches its share."""
    return max(10.0, model.weights_gib / nodes / _DOWNLOAD_GIB_PER_SECOND)


def load(model: Model, nodes: int) -> float:
    """Seconds from weights on disk to an engine that listens."""
    return 15.0 + model.weights_gib / nodes / _LOAD_GIB_PER_SECOND


def peak_tokens(model: Model, bandwidth: float, nodes: int, rng: random.Random) -> float:
    """Peak tokens per minute of one replica, +-2 %."""
    return 60.0 * tokens(model, bandwidth * nodes) * (0.98 + 0.04 * rng.random())


def tokens(model: Model, bandwidth: float) -> float:
    """Peak tokens per second, read and made: memory bandwidth (GB/s) over bytes read."""
    return 14.0 * bandwidth / max(1.0, model.weights_gib)
