"""Changing the price book: one price, or a sheet of them, and at once in what plans read.

Rows are only added. What clusters store of their pools is priced anew after the rows are committed;
should that be cut short, the next inventory of a cluster does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from clusters import selectors
from clusters.engine.price_sheet import Problem, Wish, read_sheet
from clusters.engine.prices import Price, PriceBook
from clusters.models import Cluster, PriceEntry
from clusters.pricing import pool_priced, price_book, shipped_book
from clusters.services.telling import announce
from fleetportal.accounts.principal import Principal, require
from fleetportal.journal.services import event_record
from fleetportal.kit import news
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.kit.sheets import safe

# Apps above hear, by primary key, of clusters whose pools have other prices now.
repriced: list[Callable[[str], None]] = []

TRIES = 3  # a cluster whose inventory changes under our hands is priced by that inventory


@dataclass(frozen=True, slots=True)
class Effect:
    """What one wish does to the book. `before` None: unknown until now; `after` None: unknown.

    `changes` False: price, source and date are in force as they are. Nothing is stored then, so
    that a sheet that was exported and sent back does not make list prices given ones.
    """

    wish: Wish
    before: float | None
    after: float | None
    changes: bool


def price_set(*, principal: Principal, wish: Wish) -> PriceEntry:
    """State one price, or take it back. Raises Forbidden."""
    require(principal, "price.edit")
    [row] = _store(principal, [wish])
    prices_apply()
    return row


def price_import(*, principal: Principal, text: str, dry: bool = False) -> list[Effect]:
    """Take a CSV sheet: all of it or nothing. `dry`: only say what it would do.

    Raises Forbidden, and Invalid with each problem's line and field.
    """
    require(principal, "price.edit")
    wishes, problems = read_sheet(text, timezone.now().date())
    if problems:
        raise Invalid([_problem(one) for one in problems])
    found = _effects(wishes)
    fresh = [one.wish for one in found if one.changes]
    if not dry and fresh:
        _store(principal, fresh)
        prices_apply()
    return found


def prices_apply() -> None:
    """Price the stored pools of every cluster anew; those that differ are written and told of."""
    book = price_book()
    rows = Cluster.objects.managed().only("pk", "name", "provider", "region", "pools_packed")
    clusters = [cluster for cluster in rows if _apply(cluster, book)]
    for cluster in clusters:
        announce(cluster)
        for listener in repriced:
            listener(str(cluster.pk))
    news.changed("fleet", "clusters", *(f"cluster:{cluster.pk}" for cluster in clusters))


def _apply(cluster: Cluster, book: PriceBook) -> bool:
    """Write the pools if their prices differ and nobody wrote them meanwhile."""
    for _ in range(TRIES):
        old = bytes(cluster.pools_packed)
        pools = selectors.pools_of(cluster)
        new = selectors.pack(tuple(pool_priced(cluster, pool, book) for pool in pools))
        if new == old:
            return False
        if Cluster.objects.filter(pk=cluster.pk, pools_packed=old).update(pools_packed=new):
            return True
        cluster.refresh_from_db(fields=["pools_packed"])
    return False


def _store(principal: Principal, wishes: Sequence[Wish]) -> list[PriceEntry]:
    """One row and one event for each wish, in one transaction."""
    before = price_book()
    with transaction.atomic():
        return [_add(principal, wish, before) for wish in wishes]


def _add(principal: Principal, wish: Wish, book: PriceBook) -> PriceEntry:
    row = PriceEntry.objects.create(
        provider=wish.provider,
        region=wish.region,
        instance_type=wish.instance_type,
        capacity_type=wish.capacity_type,
        usd_per_hour=wish.usd_per_hour,
        source=wish.source,
        as_of=wish.as_of,
        created_by=principal.user,
    )
    old = book.get(wish.key)
    event_record(
        action="price.taken_back" if wish.usd_per_hour is None else "price.set",
        obj=row,
        principal=principal,
        before={"usd_per_hour": old.usd_per_hour if old else None},
        after={"usd_per_hour": wish.usd_per_hour, "source": wish.source, "as_of": wish.as_of},
    )
    return row


def _effects(wishes: Iterable[Wish]) -> list[Effect]:
    book, shipped = price_book(), shipped_book()
    found = []
    for wish in wishes:
        old, base = book.get(wish.key), shipped.get(wish.key)
        after = wish.usd_per_hour
        if after is None and base is not None:
            after = base.usd_per_hour
        said = old == base if wish.usd_per_hour is None else _in_force(wish, old)
        found.append(Effect(wish, old.usd_per_hour if old else None, after, not said))
    return found


def _in_force(wish: Wish, old: Price | None) -> bool:
    """Sources are compared as a sheet has them."""
    if old is None:
        return False
    same = (old.usd_per_hour, old.as_of) == (wish.usd_per_hour, wish.as_of)
    return same and safe(old.source) == safe(wish.source)


def _problem(one: Problem) -> FieldProblem:
    where = f"Line {one.line}, {one.field}: " if one.line else ""
    field = f"csv[{one.line}].{one.field}" if one.line and one.field != "csv" else "csv"
    return FieldProblem(field, f"{where}{one.message}", one.remedy)
