"""The shipped catalog: model facts as YAML files, and the code that reads them.

The files are data to be edited by people; what they mean is decided by `workspaces.engine.catalog`.
Nothing here is written at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from workspaces.engine import catalog
from workspaces.engine.catalog import CatalogEntry

HERE = Path(__file__).parent


@cache
def load() -> tuple[CatalogEntry, ...]:
    """Every shipped model, by slug. Raises CatalogError when a file does not fit."""
    return catalog.parse(_read(path) for path in sorted((HERE / "models").glob("*.yaml")))


@cache
def names() -> Mapping[str, CatalogEntry]:
    """Every name the shipped models answer to, in lower case."""
    return catalog.index(load())


def find(name: str) -> CatalogEntry | None:
    """The shipped model for a Hugging Face id in any case, a slug or an alias."""
    return catalog.resolve(names(), name)


def _read(path: Path) -> object:
    document: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document
