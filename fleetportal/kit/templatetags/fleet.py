"""What templates of this product say in tags: chips, units, times, links that keep their filters.

Presentation only: no queries, no rules. Filters are thin names over kit.format; tags that make
HTML escape everything they are given. Listed for page authors in docs/ui.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from django import template
from django.http import HttpRequest, QueryDict
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from fleetportal.kit import format as words
from fleetportal.kit.states import TONES, Machine, State

register = template.Library()

register.filter("num", words.num)
register.filter("gib", words.gib)
register.filter("gib_of_bytes", words.gib_of_bytes)
register.filter("gpus", words.gpus)
register.filter("money", words.money)
register.filter("dollars", words.dollars)
register.filter("pct", words.percent)
register.filter("duration", words.duration)
register.filter("exact", words.exact)
register.filter("short_digest", words.short_digest)

TERM_COLOURS = 9
CHIP_TONES = frozenset({*TONES, "accent"})


class Sum(Protocol):
    """A sum with unknown parts, as workspaces.engine.cost.Total has it."""

    value: float | None
    unknown: int


@register.filter
def money_sum(found: Sum, unit: str = "/h") -> str:
    return words.money_sum(found.value, found.unknown, unit)


@register.filter
def ago(moment: datetime | None) -> str:
    return words.ago(moment, timezone.now())


@register.filter
def until(moment: datetime | None) -> str:
    return words.until(moment, timezone.now())


@register.filter
def tone(value: Any) -> str:
    """The CSS class of a State or of a tone's name; an unheard-of tone reads as unknown."""
    name = value.tone if isinstance(value, State) else str(value)
    return f"tone-{name if name in CHIP_TONES else 'unknown'}"


@register.simple_tag
def chip(label: str, tone_name: str, style: str = "") -> SafeString:
    """A state as shape and word. `style`: "", "outline" or "plain"."""
    css = f"chip {tone(tone_name)} {style}".strip()
    return format_html('<span class="{}">{}</span>', css, label)


@register.simple_tag
def state_chip(
    value: State | str, machine: Machine | None = None, label: str = "", style: str = ""
) -> SafeString:
    """The chip of a state: a kit.states.State, or a state's key with its machine.

    `label` replaces the machine's word, for states that carry a cause ("Waiting: approval").
    """
    state = value if isinstance(value, State) else _look_up(value, machine)
    return chip(label or state.label, state.tone, style)


def _look_up(key: str, machine: Machine | None) -> State:
    if machine is not None and key in machine.states:
        return machine.states[key]
    return State(label=str(key).replace("_", " ").capitalize() or "Unknown", tone="unknown")


@register.simple_tag
def age(moment: datetime | None, stale: float = 0, old: float = 0) -> SafeString:
    """A relative time whose exact stamp shows on hover and focus.

    With `stale` and `old` (seconds) it turns amber, then grey, here and in app.js as it ticks.
    """
    if moment is None:
        return format_html('<span class="age unknown-text">{}</span>', "never")
    now = timezone.now()
    seconds = (now - moment).total_seconds()
    css = "old" if old and seconds >= old else "stale" if stale and seconds >= stale else ""
    return format_html(
        '<span class="age {}" tabindex="0" data-age data-stale="{}" data-old="{}">'
        '<time datetime="{}">{}</time><span class="tip">{}</span></span>',
        css,
        stale or "",
        old or "",
        moment.astimezone(UTC).isoformat(timespec="seconds"),
        words.ago(moment, now),
        words.exact(moment),
    )


@register.simple_tag
def countdown(deadline: datetime | None, ended: str = "due") -> SafeString:
    """Time left; app.js ticks it from the server's clock and writes `ended` at zero."""
    if deadline is None:
        return format_html('<span class="count-down">{}</span>', words.until(None, timezone.now()))
    return format_html(
        '<time class="count-down" datetime="{}" data-deadline data-ended="{}">{}</time>',
        deadline.astimezone(UTC).isoformat(timespec="milliseconds"),
        ended,
        words.until(deadline, timezone.now()),
    )


@register.simple_tag
def server_now() -> str:
    """The server's clock in milliseconds since 1970, for app.js."""
    return str(int(timezone.now().timestamp() * 1000))


@register.simple_tag(takes_context=True)
def qs(context: Context, **changes: Any) -> str:
    """This page's query string with `changes`; None removes a key, any change but `page` resets it.

    {% qs page=2 %} -> "?state=ready&page=2"; {% qs state=None %} -> "?".
    """
    query = _query(context)
    if "page" not in changes:
        query.pop("page", None)
    for key, value in changes.items():
        if value is None or value == "":
            query.pop(key, None)
        else:
            query[key] = str(value)
    return f"?{query.urlencode()}"


def _query(context: Context) -> QueryDict:
    request = context.get("request")
    return request.GET.copy() if isinstance(request, HttpRequest) else QueryDict(mutable=True)


@register.inclusion_tag("components/sort_th.html", takes_context=True)
def sort_th(context: Context, key: str, label: str, css: str = "") -> dict[str, Any]:
    """A column header that sorts: ascending, then descending. State lives in `?sort=`.

    The view may put the order in force into the context as `sort`; else the query's is taken.
    """
    current = str(context.get("sort") or _query(context).get("sort", ""))
    order = {key: "ascending", f"-{key}": "descending"}.get(current, "")
    following = f"-{key}" if order == "ascending" else key
    return {"label": label, "css": css, "order": order, "href": qs(context, sort=following)}


class Term(Protocol):
    """One score term, as workspaces.engine.types.ScoreTerm has it."""

    name: str
    weight: float
    value: float | None
    points: float
    explanation: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a stacked bar, in percent of its full width."""

    term: Any
    colour: str
    x: float
    width: float
    minus: bool


@register.filter
def score_segments(terms: Iterable[Any]) -> list[Segment]:
    """Lay terms end to end on a bar whose full width is the sum of the weights.

    Points below zero step back from the end, so the bar always ends at the total.
    """
    rows: Sequence[Any] = list(terms)
    scale = max(sum(term.weight for term in rows), sum(max(t.points, 0) for t in rows)) or 1
    segments: list[Segment] = []
    end = 0.0
    ordered = [t for t in rows if t.points >= 0] + [t for t in rows if t.points < 0]
    for term in ordered:
        width = abs(term.points) / scale * 100
        minus = term.points < 0
        x = end - width if minus else end
        end = x if minus else end + width
        colour = f"term-{rows.index(term) % TERM_COLOURS}"
        segments.append(Segment(term, colour, round(x, 3), round(width, 3), minus))
    return segments


@register.filter
def score_end(terms: Iterable[Any]) -> float:
    """Where the bar of `score_segments` ends, in percent."""
    segments = score_segments(terms)
    if not segments:
        return 0.0
    last = segments[-1]
    return last.x if last.minus else round(last.x + last.width, 3)
