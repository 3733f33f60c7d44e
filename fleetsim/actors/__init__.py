"""What lives in the simulated clusters: KAITO, clouds, schedulers, kubelets and engines.

Actors write through the same path as every client of the API. `run` is
the server's background task.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from fleetsim.actors.core import Actors
from fleetsim.store import Fleet

__all__ = ["Actors", "of", "run"]

_BY_FLEET: WeakKeyDictionary[Fleet, Actors] = WeakKeyDictionary()


def of(fleet: Fleet) -> Actors:
    """The actors of a fleet, made on first use."""
    actors = _BY_FLEET.get(fleet)
    if actors is None:
        actors = _BY_FLEET[fleet] = Actors(fleet)
    return actors


async def run(fleet: Fleet) -> None:
    """Act in every attached cluster until cancelled."""
    await of(fleet).run()
