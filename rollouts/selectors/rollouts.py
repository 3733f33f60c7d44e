"""Lists of rollouts: which, in what order, and the line that each becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, IntegerField, Prefetch, Q, QuerySet, Value, When

from fleetportal.accounts.principal import Principal
from rollouts.models import Approval, Rollout, Stage
from rollouts.selectors.approvals import ASKED, judged, with_votes
from rollouts.selectors.words import PERSON, Wait, label_of, wait_of
from rollouts.states import ROLLOUT, STAGE

SORTS = {
    "name": ("deployment__name", "-created_at"),
    "team": ("team__slug", "deployment__name"),
    "started": ("-created_at",),
}
ACTIVE = sorted(ROLLOUT.active)
LISTED = (  # what a line says; whole rows are long
    *("state", "waiting_for", "created_at", "ended_at", "team__slug", "deployment__name"),
    *("revision__number", "revision__model__name"),
)


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """One row of the list. `approval`: the open request that this person may decide."""

    rollout: Rollout
    label: str
    tone: str
    wait: Wait | None
    stages: list[dict[str, str]]
    approval: Approval | None


def rollouts_for(principal: Principal) -> QuerySet[Rollout]:
    """Every rollout the principal may see, without what only a step needs."""
    rows = Rollout.objects.visible_to(principal).select_related(
        "team", "deployment", "revision__deployment", "revision__model", "requested_by"
    )
    return rows.defer("revision__model__facts", "revision__model__search")


def rollout_for(principal: Principal, pk: UUID) -> Rollout | None:
    rows = rollouts_for(principal).select_related("previous__model", "previous__deployment")
    return rows.filter(pk=pk).first()


def matching(rows: QuerySet[Rollout], filters: Mapping[str, str]) -> QuerySet[Rollout]:
    """`filters`: q (name of the deployment), team (slug), state (one of _GROUPS or a state)."""
    if filters.get("q"):
        rows = rows.filter(deployment__name__icontains=filters["q"])
    if filters.get("team"):
        rows = rows.filter(team__slug=filters["team"])
    state = filters.get("state", "")
    if state in ROLLOUT.states:
        return rows.filter(state=state)
    return rows.filter(_GROUPS[state]) if state in _GROUPS else rows


_PERSON = Q(state__in=ACTIVE, waiting_for__kind__in=[kind.value for kind in PERSON])
_GROUPS = {
    "active": Q(state__in=ACTIVE),
    "person": _PERSON | Q(state="failed"),
    "ended": Q(state__in=sorted(ROLLOUT.terminal)),
}


def sorted_by(rows: QuerySet[Rollout], sort: str) -> QuerySet[Rollout]:
    """By one of SORTS, "-" for the other way; else what a person must end, what runs, the rest."""
    name = sort.removeprefix("-")
    if name not in SORTS:
        return rows.annotate(_calm=_CALM).order_by("_calm", "-created_at", "pk")
    ordered = rows.order_by(*SORTS[name], "pk")
    return ordered.reverse() if sort.startswith("-") else ordered


_CALM = Case(
    When(_GROUPS["person"], then=Value(0)),
    When(_GROUPS["active"], then=Value(1)),
    default=Value(2),
    output_field=IntegerField(),
)


def rollouts_listed(principal: Principal) -> QuerySet[Rollout]:
    """The same rollouts as `rollouts_for`, with what a line shows: LISTED, stages, and the open
    requests with their votes where the principal may vote at all. Three more queries at most."""
    rows = Rollout.objects.visible_to(principal).select_related(
        "team", "deployment", "revision__model"
    )
    stages = Stage.objects.only("rollout_id", "index", "name", "state")
    rows = rows.only(*LISTED).prefetch_related(
        Prefetch("stages", queryset=stages, to_attr="all_stages")
    )
    if not principal.may("approval.vote"):
        return rows
    asked = with_votes(Approval.objects.open()).only(*ASKED, "requester__username")
    return rows.prefetch_related(Prefetch("approvals", queryset=asked, to_attr="asked"))


def lines_of(principal: Principal, rows: Iterable[Rollout], now: datetime) -> list[RolloutLine]:
    return [_line(principal, row, now) for row in rows]


def _line(principal: Principal, rollout: Rollout, now: datetime) -> RolloutLine:
    asked: list[Approval] = getattr(rollout, "asked", [])  # read for those who may vote
    mine = (one for one in asked if judged(principal, one, now)[0])
    return RolloutLine(
        rollout=rollout,
        label=label_of(rollout),
        tone=ROLLOUT.states[rollout.state].tone,
        wait=wait_of(rollout) if rollout.state in ROLLOUT.active else None,
        stages=strip(rollout.all_stages),  # type: ignore[attr-defined]
        approval=next(mine, None),
    )


def strip(stages: Iterable[Stage]) -> list[dict[str, Any]]:
    """The stages as components/stage_strip.html takes them."""
    return [
        {"name": one.name, "label": STAGE.states[one.state].label, "tone": _tone(one)}
        for one in stages
    ]


def _tone(stage: Stage) -> str:
    return STAGE.states[stage.state].tone
