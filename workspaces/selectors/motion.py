"""What a rollout is doing to a deployment, in the words of the app above.

Rollouts stand above this app, so they name their source here at start-up; without one, pages say
nothing of rollouts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Motion:
    """The newest rollout of a deployment. `attention`: a person has to act on it."""

    label: str  # "Waiting: approval"
    tone: str
    note: str
    url: str
    active: bool
    attention: bool


Source = Callable[[Iterable[UUID]], Mapping[UUID, Motion]]
Waiting = Callable[[], Iterable[UUID]]
_sources: list[tuple[Source, Waiting]] = []


def told_by(source: Source, waiting: Waiting) -> None:
    """`source`: the newest rollout of each deployment; `waiting`: deployments whose rollout needs a
    person now (an iterable of ids, or a queryset of them)."""
    _sources[:] = [(source, waiting)]


def motions(deployments: Iterable[UUID]) -> Mapping[UUID, Motion]:
    return _sources[0][0](deployments) if _sources else {}


def needing_a_person() -> Iterable[UUID]:
    return _sources[0][1]() if _sources else ()
