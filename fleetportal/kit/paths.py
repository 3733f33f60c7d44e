"""Paths of objects in long lists: a pattern is reversed once, not for every row."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from django.urls import get_script_prefix, get_urlconf, reverse

_NOBODY = UUID(int=0)


def path_to(name: str, key: UUID | str) -> str:
    """As `reverse(name, args=[key])`, where the page takes one UUID. Raises NoReverseMatch."""
    before, after = _around(name, get_urlconf(), get_script_prefix())
    return f"{before}{key}{after}"


@lru_cache(maxsize=256)
def _around(name: str, urlconf: str | None, prefix: str) -> tuple[str, str]:
    """What stands before and after the key; `prefix` is part of what reverse answers."""
    before, _, after = reverse(name, urlconf=urlconf, args=[_NOBODY]).partition(str(_NOBODY))
    return before, after
