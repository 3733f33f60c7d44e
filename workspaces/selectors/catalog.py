"""The catalog as people search it, with what fits now beside every entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import msgspec
from django.db.models import (
    BooleanField,
    Case,
    F,
    FloatField,
    IntegerField,
    Q,
    QuerySet,
    Value,
    When,
)

from fleetportal.accounts.principal import Principal
from workspaces import catalog
from workspaces.engine.catalog import CatalogEntry
from workspaces.engine.fits import Fit
from workspaces.models import CatalogModel, TeamSecret, Workspace

MOST_WORDS = 20  # of one search: each is one more condition, and databases take only so many
SORTS = {
    "fits": "fits now, cheapest",
    "name": "name",
    "weights": "smallest weights",
    "-context": "longest context",
}
_ORDERS = {
    "name": ("name",),
    "weights": ("weights_gib", "name"),
    "-context": ("-context_limit", "name"),
}


@dataclass(frozen=True, slots=True)
class Running:
    """Where a model runs already: names of deployments one may see, and how many one may not."""

    names: list[tuple[str, str]] = field(default_factory=list)  # (id, name)
    others: int = 0


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer: only words that occur."""

    publishers: list[str]
    licences: list[str]
    tasks: list[str]


def enabled() -> QuerySet[CatalogModel]:
    return CatalogModel.objects.filter(enabled=True)


def model_named(name: str) -> CatalogModel | None:
    """The row for a slug, a Hugging Face id or an alias, in any case."""
    entry = catalog.find(name)
    slug = entry.slug if entry else name.lower()
    return enabled().filter(slug=slug).first()


def entry_of(model: CatalogModel) -> CatalogEntry:
    return msgspec.convert(model.facts, CatalogEntry)


def matching(rows: QuerySet[CatalogModel], filters: Mapping[str, str]) -> QuerySet[CatalogModel]:
    """Rows for the page's filters: q, publisher, licence, task, gated (yes, no), fits (1)."""
    for word in filters.get("q", "").lower().split()[:MOST_WORDS]:
        rows = rows.filter(search__contains=word)
    for name in ("publisher", "licence"):
        if filters.get(name):
            rows = rows.filter(**{name: filters[name]})
    if filters.get("task"):
        rows = rows.filter(facts__tasks__icontains=f'"{filters["task"]}"')
    if filters.get("gated"):
        rows = rows.filter(gated=filters["gated"] == "yes")
    return rows.filter(Q(("fits_count__gt", 0))) if filters.get("fits") else rows


def with_fits(
    rows: QuerySet[CatalogModel], fits: Mapping[str, Fit], *, has_token: bool
) -> QuerySet[CatalogModel]:
    """Rows with `fits_count`, `price_from` ($/h) and `fit_rank`: 0 fits now, 1 fits but needs a
    token, 2 fits nowhere."""
    by_count: dict[int, list[str]] = defaultdict(list)
    for slug, fit in fits.items():
        by_count[fit.fits].append(slug)
    prices = [
        When(slug=slug, then=Value(fit.price_from)) for slug, fit in fits.items() if fit.price_from
    ]
    counts = [When(slug__in=slugs, then=Value(n)) for n, slugs in by_count.items()]
    nowhere = When(fits_count=0, then=Value(2))
    token = [] if has_token else [When(gated=True, then=Value(1))]
    number = IntegerField()
    return rows.annotate(
        fits_count=Case(*counts, default=Value(0), output_field=number),
        price_from=Case(*prices, default=Value(None), output_field=FloatField()),
    ).annotate(
        fit_rank=Case(nowhere, *token, default=Value(0), output_field=number),
        fits_now=Case(
            When(fits_count=0, then=Value(False)), default=Value(True), output_field=BooleanField()
        ),
    )


def sorted_by(rows: QuerySet[CatalogModel], sort: str) -> QuerySet[CatalogModel]:
    """One of SORTS; anything else is "fits now, cheapest"."""
    if sort in _ORDERS:
        return rows.order_by(*_ORDERS[sort], "slug")
    cheapest = F("price_from").asc(nulls_last=True)
    return rows.order_by(F("fit_rank"), cheapest, "weights_gib", "slug")


@cache
def choices() -> Choices:
    entries = catalog.load()
    return Choices(
        publishers=sorted({entry.publisher for entry in entries}),
        licences=sorted({entry.licence for entry in entries}),
        tasks=sorted({task for entry in entries for task in entry.tasks}),
    )


def running_models(principal: Principal) -> dict[str, Running]:
    """Slug -> the deployments that run it now, those of foreign teams only counted."""
    rows = (
        Workspace.objects.live()
        .exclude(state="retiring")
        .values_list(
            "revision__model_id", "deployment_id", "deployment__name", "deployment__team_id"
        )
        .order_by("deployment__name")
        .distinct()
    )
    found: dict[str, Running] = defaultdict(Running)
    sees = cache(principal.sees_team)
    for slug, pk, name, team_id in rows:
        if sees(team_id):
            found[slug].names.append((str(pk), name))
        else:
            found[slug] = Running(found[slug].names, found[slug].others + 1)
    return dict(found)


def has_token(team_id: int | None) -> bool:
    return team_id is not None and TeamSecret.objects.filter(team_id=team_id).exists()
