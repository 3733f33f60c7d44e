"""How many replicas each picked cluster gets, and whether they all fit.

Integers only. `slots` is how many replicas a cluster can hold; None means that nobody can tell
(no quota declared), so it takes replicas only after every known slot is used.
"""

from __future__ import annotations

from collections.abc import Sequence


def fits(slots: Sequence[int | None], replicas: int) -> bool:
    """Whether these clusters can hold all replicas; an unknown room is taken as enough."""
    return None in slots or sum(s for s in slots if s is not None) >= replicas


def distribute(slots: Sequence[int | None], replicas: int) -> list[int]:
    """One replica each, then one more each in turn while there is room.

    Returns fewer than `replicas` in total when they do not all fit, and 0 for clusters at the end
    when there are more clusters than replicas.
    """
    given = [0] * len(slots)
    left = replicas
    known = [i for i, s in enumerate(slots) if s is not None]
    unknown = [i for i, s in enumerate(slots) if s is None]
    for index in range(len(slots)):
        if left and slots[index] != 0:
            given[index] += 1
            left -= 1
    for group in (known, unknown):
        left = _fill(given, slots, group, left)
    return given


def _fill(given: list[int], slots: Sequence[int | None], group: list[int], left: int) -> int:
    """Hand out in turns within a group; returns what is left over."""
    while left and group:
        group = [i for i in group if _has_room(slots[i], given[i])]
        for index in group[:left]:
            given[index] += 1
        left -= min(left, len(group))
    return left


def _has_room(slots: int | None, given: int) -> bool:
    return slots is None or given < slots
