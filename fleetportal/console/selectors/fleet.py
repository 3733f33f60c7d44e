"""The fleet page: one read of the visible clusters, from which every figure on it comes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from clusters.models import Cluster
from clusters.selectors import census
from clusters.selectors.census import Overview, Tally
from clusters.selectors.roster import roster
from fleetportal.accounts.principal import Principal


@dataclass(frozen=True, slots=True)
class Figure:
    """One class of GPUs in words."""

    key: str
    label: str
    value: int
    note: str


def clusters_for(principal: Principal) -> list[Cluster]:
    return roster(principal)


def overview_for(principal: Principal) -> Overview:
    """What the page and `fleet/overview/` both show."""
    return census.overview(clusters_for(principal))


def figures(found: Overview) -> list[Figure]:
    """The classes in reading order; their values add up to the total."""
    total = found.total
    shared = Figure("shared", "Shared", total.shared, f"in {total.shares} parts")
    return [
        Figure("allocated", "Allocated", total.allocated, "held by pods"),
        Figure("free", "Free", total.free, _whole(total)),
        *([shared] if total.shared else []),
        Figure("blocked", "Blocked", total.blocked, "cordoned or kept"),
        Figure("faulty", "Faulty", total.faulty, "not offered"),
        Figure("unknown", "Unknown", total.unknown, "no contact"),
        Figure("provisionable", "Can be added", total.provisionable, "quota left"),
    ]


def _whole(total: Tally) -> str:
    return f"{total.whole_free} whole node{'' if total.whole_free == 1 else 's'}"


def seen(clusters: Iterable[Cluster]) -> datetime | None:
    """When the oldest of what is counted as known was last seen to be so."""
    known = (one.observed_at for one in clusters if not census.unseen(one))
    return min((moment for moment in known if moment is not None), default=None)
