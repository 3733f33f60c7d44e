"""The rollout strategies one can choose on a model's page.

Strategies belong to rollouts, above this app; that app names its source here at start-up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Source = Callable[[], Sequence[tuple[str, str]]]
_source: list[Source] = []
SHIPPED = (("staged", "staged"), ("all-at-once", "all-at-once"))


def offer_from(source: Source) -> None:
    """`source` gives (slug, words) pairs, the default first."""
    _source[:] = [source]


def offered() -> list[tuple[str, str]]:
    rows = list(_source[0]()) if _source else []
    return rows or list(SHIPPED)
