"""The shipped catalog into the database, where it can be searched, joined and switched off."""

from __future__ import annotations

import msgspec

from workspaces.catalog import load
from workspaces.engine.catalog import CatalogEntry
from workspaces.models import CatalogModel


def catalog_sync() -> int:
    """Write every shipped entry, switch off those no longer shipped. How many are shipped."""
    entries = load()
    CatalogModel.objects.bulk_create(
        [_row(entry) for entry in entries],
        update_conflicts=True,
        unique_fields=["slug"],
        update_fields=[
            "hf_id",
            "name",
            "publisher",
            "licence",
            "gated",
            "weights_gib",
            "context_limit",
            "search",
            "facts",
        ],
    )
    CatalogModel.objects.exclude(slug__in=[entry.slug for entry in entries]).update(enabled=False)
    return len(entries)


def _row(entry: CatalogEntry) -> CatalogModel:
    return CatalogModel(
        slug=entry.slug,
        hf_id=entry.spec.hf_id,
        name=entry.name,
        publisher=entry.publisher,
        licence=entry.licence,
        gated=entry.spec.gated,
        weights_gib=entry.spec.weights_gib,
        context_limit=entry.spec.context_limit,
        search=entry.words,
        facts=msgspec.to_builtins(entry),
    )
