"""What fits where now, for the catalog and a model's page. Reads only; it promises nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.utils import timezone

from clusters.engine.types import ClusterFacts
from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import Principal
from workspaces import catalog
from workspaces.engine.catalog import CatalogEntry
from workspaces.engine.fits import Fit, FitRow, fit_counts, fit_rows
from workspaces.engine.fragments import Room, rooms
from workspaces.engine.types import Demand, Policy, Situation
from workspaces.models import CatalogModel
from workspaces.services import facts


def fleet_of(principal: Principal) -> list[ClusterFacts]:
    """The clusters that the principal may see, as the engine knows them."""
    rows = facts.fleet(timezone.now())
    if principal.sees_all:
        return rows
    mine = {team.slug for team in principal.teams()}
    return [row for row in rows if row.teams is None or row.teams & mine]


def catalog_fits(*, principal: Principal, team: Team | None) -> dict[str, Fit]:
    """Slug -> how many clusters can take one replica with the default context."""
    entries = catalog.load()
    demand = Demand(
        model=entries[0].spec,
        replicas=1,
        max_model_len=None,
        team=team.slug if team else "",
        policy=Policy(),
    )
    promised = Situation(claimed_nodes=facts.claimed_nodes())
    fits = fit_counts([one.spec for one in entries], demand, fleet_of(principal), promised)
    return {entry.slug: fit for entry, fit in zip(entries, fits, strict=True)}


def model_fit(
    *, principal: Principal, team: Team | None, model: CatalogModel, max_model_len: int | None
) -> Sequence[FitRow]:
    """Every pool the principal may see, with the reason where the model does not fit."""
    demand = Demand(
        model=facts.model_spec(model),
        replicas=1,
        max_model_len=max_model_len,
        team=team.slug if team else "",
        policy=Policy(),
    )
    promised = Situation(claimed_nodes=facts.claimed_nodes())
    return fit_rows(demand, fleet_of(principal), promised)


def cluster_rooms(*, names: Collection[str]) -> tuple[list[CatalogEntry], list[Room]]:
    """What each of these clusters can still take of the whole catalog; a room's models are numbers
    of the entries given beside it."""
    entries = list(catalog.load())
    demand = Demand(model=entries[0].spec, replicas=1, max_model_len=None, team="", policy=Policy())
    promised = Situation(claimed_nodes=facts.claimed_nodes())
    fleet = facts.fleet(timezone.now(), names)
    return entries, rooms([one.spec for one in entries], demand, fleet, promised)
