"""The price book as its page and the API show it: what is in force, who said so, what came before.

Instance types that a visible cluster has or may have and that nobody priced come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from clusters.engine.prices import Key, key_of, price
from clusters.models import PriceEntry
from clusters.pricing import load_prices, price_book, shipped_book
from clusters.selectors.census import listed
from clusters.selectors.facts import decode_pools
from fleetportal.accounts.principal import Principal

SHIPPED = "shipped"
FILTERS = ("q", "provider", "show")
CHOICES = ("", "given", "shipped", "used")


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One price in force. `who` "shipped": it came with the product; `at` None then."""

    provider: str
    region: str
    instance_type: str
    capacity_type: str
    usd_per_hour: float | None
    source: str
    as_of: date | None
    measured_in: str
    who: str
    at: datetime | None
    nodes: int  # of this kind in the fleet that one may see, or declared by quota

    @property
    def key(self) -> Key:
        return key_of(self.provider, self.region, self.instance_type, self.capacity_type)


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Nodes of one kind that no price is known of. `clusters`: names, sorted."""

    provider: str
    region: str
    instance_type: str
    capacity_type: str
    gpu_model: str
    nodes: int
    clusters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """Nodes of one kind in use: where, and how many exist or may be created."""

    provider: str
    region: str
    instance_type: str
    capacity_type: str
    gpu_model: str
    cluster: str
    nodes: int


def kinds(principal: Principal) -> list[Kind]:
    """Every kind of GPU node on every visible cluster (one query)."""
    rows = listed(principal).order_by("name")
    columns = rows.values_list("name", "provider", "region", "pools_packed")
    return [
        Kind(
            provider,
            region,
            pool.instance_type,
            pool.capacity_type,
            pool.gpu_model,
            name,
            max(pool.nodes, pool.quota_nodes or 0),
        )
        for name, provider, region, packed in columns
        for pool in decode_pools(packed)
    ]


def lines(found: Iterable[Kind]) -> list[PriceLine]:
    """The book in force: what the fleet uses first, then by provider and type (three queries)."""
    book, given = price_book(), _newest()
    used = _used(found)
    return sorted((_line(key, book, given, used) for key in book), key=_order)


def _order(line: PriceLine) -> tuple[bool, str, str, str, str]:
    name = line.instance_type.lower()
    return (line.nodes == 0, line.provider, name, line.region, line.capacity_type)


def unpriced(found: Iterable[Kind]) -> list[Unpriced]:
    """Kinds of nodes without a price, those with the most nodes first (one query)."""
    book = price_book()
    groups: dict[Key, list[Kind]] = {}
    for kind in found:
        asked = (kind.provider, kind.region, kind.instance_type, kind.capacity_type)
        if price(book, *asked) is None:
            groups.setdefault(key_of(*asked), []).append(kind)
    return sorted(map(_unpriced, groups.values()), key=lambda u: (-u.nodes, u.instance_type))


def matching(rows: Iterable[PriceLine], filters: Mapping[str, str]) -> list[PriceLine]:
    """`filters`: q (type, region or source), provider, show (one of CHOICES)."""
    word, provider = filters.get("q", "").lower(), filters.get("provider", "")
    show = filters.get("show", "")
    return [
        line
        for line in rows
        if word in f"{line.instance_type} {line.region} {line.source}".lower()
        and provider in ("", line.provider)
        and _shown(line, show)
    ]


def history(key: Key) -> list[PriceLine]:
    """All that was ever said of a key, newest first; the shipped price comes last."""
    provider, region, instance_type, capacity = key
    rows = PriceEntry.objects.filter(
        provider__iexact=provider,
        region__iexact=region,
        instance_type__iexact=instance_type,
        capacity_type=capacity,
    ).select_related("created_by")
    found = [_said(row) for row in rows.order_by("-id")]
    return [*found, *(_shipped(one) for one in load_prices() if _key(one) == key)]


def _shown(line: PriceLine, show: str) -> bool:
    if show == "used":
        return line.nodes > 0
    return show not in ("given", "shipped") or (line.who == SHIPPED) == (show == "shipped")


def _newest() -> dict[Key, PriceEntry]:
    """The newest row of every key."""
    rows = PriceEntry.objects.select_related("created_by").order_by("id")
    return {_key(row): row for row in rows}


def _key(row: object) -> Key:
    names = ("provider", "region", "instance_type", "capacity_type")
    return key_of(*(getattr(row, name) for name in names))


def _used(found: Iterable[Kind]) -> dict[Key, int]:
    """Nodes by the key of the price that they go by."""
    book, used = price_book(), dict[Key, int]()
    for kind in found:
        hit = price(book, kind.provider, kind.region, kind.instance_type, kind.capacity_type)
        if hit is not None:
            used[_key(hit)] = used.get(_key(hit), 0) + kind.nodes
    return used


def _line(
    key: Key, book: Mapping[Key, object], given: Mapping[Key, PriceEntry], used: Mapping[Key, int]
) -> PriceLine:
    row = given.get(key)
    nodes = used.get(key, 0)
    if row is None or row.usd_per_hour is None:
        return _shipped(shipped_book()[key], nodes)
    return _said(row, nodes)


def _said(row: PriceEntry, nodes: int = 0) -> PriceLine:
    return PriceLine(
        provider=row.provider,
        region=row.region,
        instance_type=row.instance_type,
        capacity_type=row.capacity_type,
        usd_per_hour=row.usd_per_hour,
        source=row.source,
        as_of=row.as_of,
        measured_in="",
        who=row.created_by.username if row.created_by else "somebody who has left",
        at=row.created_at,
        nodes=nodes,
    )


def _shipped(one: object, nodes: int = 0) -> PriceLine:
    names = ("provider", "region", "instance_type", "capacity_type", "usd_per_hour", "source")
    said = {name: getattr(one, name) for name in (*names, "as_of", "measured_in")}
    return PriceLine(**said, who=SHIPPED, at=None, nodes=nodes)


def _unpriced(group: list[Kind]) -> Unpriced:
    first = group[0]
    return Unpriced(
        provider=first.provider,
        region=first.region,
        instance_type=first.instance_type,
        capacity_type=first.capacity_type,
        gpu_model=first.gpu_model,
        nodes=sum(kind.nodes for kind in group),
        clusters=tuple(sorted({kind.cluster for kind in group})),
    )
