"""What fits now must be the same answer on the catalog, on a model's page and in a plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.engine.placement_world import LLAMA_8B, PHI4_MINI, demand, story
from workspaces import catalog
from workspaces.engine.catalog import CatalogEntry
from workspaces.engine.fits import fit_counts, fit_rows
from workspaces.engine.placement import place
from workspaces.engine.types import Situation


@pytest.mark.parametrize("entry", catalog.load(), ids=lambda entry: entry.slug)
def test_the_count_of_the_catalog_is_the_count_of_placement(entry: CatalogEntry) -> None:
    fleet, situation = story(), Situation(claimed_nodes={("id-test-use1", "g6.xlarge"): 2})
    asked = replace(demand(1, entry.spec), has_secret=True)
    able = [v for v in place(asked, fleet, situation).verdicts if v.verdict != "rejected"]
    prices = [v.price_per_hour for v in able if v.price_per_hour is not None]
    (fit,) = fit_counts([entry.spec], demand(1), fleet, situation)
    assert (fit.fits, fit.clusters) == (len(able), 9)
    assert fit.price_from == pytest.approx(min(prices)) if prices else fit.price_from is None


def test_the_rows_of_a_model_agree_with_placement_and_give_its_reasons() -> None:
    verdicts = {v.cluster: v for v in place(demand(1), story(), Situation()).verdicts}
    best = {row.cluster: row for row in fit_rows(demand(1), story(), Situation()) if row.best}
    assert set(best) == set(verdicts)
    for name, row in best.items():
        assert row.fits is (verdicts[name].verdict != "rejected")
        if not row.fits:
            assert row.reason == verdicts[name].reason


def test_every_pool_of_a_cluster_has_a_row_and_one_speaks_for_it() -> None:
    rows = [row for row in fit_rows(demand(1), story(), Situation()) if row.cluster == "prod-euc1"]
    assert sorted(row.pool for row in rows) == ["g6.12xlarge", "p5.48xlarge"]
    assert [row.best for row in rows].count(True) == 1
    assert not any(row.fits for row in rows)


def test_a_missing_token_does_not_change_what_fits() -> None:
    (gated,) = fit_counts([LLAMA_8B], demand(1), story(), Situation())
    assert gated.fits > 0


def test_promised_nodes_are_not_room() -> None:
    claimed = Situation(claimed_nodes={("id-test-use1", "g6.xlarge"): 4})
    row = next(r for r in fit_rows(demand(1), story(), claimed) if r.cluster == "test-use1")
    assert not row.fits
    assert "4 promised to other plans" in row.reason


def test_an_empty_fleet_fits_nowhere_and_has_no_rows() -> None:
    (fit,) = fit_counts([PHI4_MINI], demand(1), [], Situation())
    assert (fit.fits, fit.clusters, fit.price_from) == (0, 0, None)
    assert fit_rows(demand(1), [], Situation()) == ()
