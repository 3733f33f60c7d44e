"""What stands in every row of a long list, written by Python: a template that is included in each
row costs more than the row. `{% load rows %}`; otherwise as in the library `fleet`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache
from typing import Protocol

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from fleetportal.kit.format import num
from fleetportal.kit.paths import path_to

register = template.Library()
register.simple_tag(path_to, name="to")

NOW = mark_safe(' class="now"')
STANDS = ("run", "wait", "bad")  # tones of a stage at which a rollout stands
UNKNOWN = mark_safe('<span class="unknown-text">unknown</span>')
NO_NODES = mark_safe('<li class="faint">no GPU nodes</li>')
NO_QUOTA = mark_safe('<span class="unknown-text">no quota declared</span>')


class Shape(Hashable, Protocol):
    """Nodes of one shape, as clusters.selectors.capacity.ShapeLine has them."""

    @property
    def shape(self) -> str: ...
    @property
    def nodes(self) -> int: ...
    @property
    def whole_free(self) -> int | None: ...
    @property
    def addable(self) -> int | None: ...
    @property
    def provisionable(self) -> bool: ...
    @property
    def capacity_type(self) -> str: ...
    @property
    def unseen(self) -> bool: ...


@register.simple_tag
def shapes(lines: Iterable[Shape]) -> SafeString:
    """What a cluster can still take, one line for each shape of node."""
    items = format_html_join("", "{}", ((_shape(line),) for line in lines))
    return format_html('<ul class="plain-list shapes">{}</ul>', items or NO_NODES)


@lru_cache(maxsize=4096)  # clusters of a fleet are alike
def _shape(line: Shape) -> SafeString:
    spot = "" if line.capacity_type == "on-demand" else f", {line.capacity_type}"
    return format_html(
        '<li><span class="room">{}</span> <span class="soft">{}{}</span></li>',
        _room(line),
        line.shape,
        spot,
    )


def _room(line: Shape) -> str:
    if line.unseen:
        return UNKNOWN if line.provisionable else format_html("{} of {}", UNKNOWN, num(line.nodes))
    if not line.provisionable:
        return f"{num(line.whole_free)} of {num(line.nodes)}"
    return NO_QUOTA if line.addable is None else f"+{num(line.addable)} new"


@register.simple_tag
def stage_strip(stages: Iterable[Mapping[str, str]]) -> SafeString:
    """`stages`: [{name, label, tone}] in order, in one line."""
    items = format_html_join(
        "",
        '<li{}><span class="shape tone-{}"></span>{}<span class="visually-hidden">: {}</span></li>',
        (
            (NOW if one["tone"] in STANDS else "", one["tone"], one["name"], one["label"])
            for one in stages
        ),
    )
    return format_html('<ol class="stage-strip">{}</ol>', items)
