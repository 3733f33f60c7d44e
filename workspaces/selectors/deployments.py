"""Deployments for their list: those that need a person first, each with its word and its cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import (
    Case,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)

from fleetportal.accounts.principal import Principal
from workspaces.engine.cost import Total
from workspaces.engine.fare import SILENT, Fare, Going, Look, fare
from workspaces.models import Deployment, Revision, Workspace
from workspaces.querysets import DeploymentQuerySet
from workspaces.selectors.cost import price_now
from workspaces.selectors.living import Living, living_of
from workspaces.selectors.motion import Motion, motions, needing_a_person
from workspaces.states import WORKSPACE

SORTS = {"name": "name", "model": "model_name", "team": "team__slug", "created": "created_at"}
SHOWN = ("attention", "active", "retiring", "retired")


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """One line of the list. `price`: $/h of everything that holds nodes, what is unknown apart.
    `serves`: revisions that answer, the newest first; none before the first one does."""

    deployment: Deployment
    model_name: str
    model_slug: str
    number: int | None
    fare: Fare
    motion: Motion | None
    price: Total
    replicas: int
    ready_replicas: int | None
    serves: tuple[int, ...]

    @property
    def numbers(self) -> str:
        """ "r2", or "r2 and r1" while clusters differ; the newest one where none answers."""
        shown = self.serves or ((self.number,) if self.number else ())
        return " and ".join(f"r{number}" for number in shown)

    @property
    def price_per_hour(self) -> float | None:
        """None: unknown for at least one workspace."""
        return None if self.price.unknown else self.price.usd


def deployments_for(principal: Principal) -> DeploymentQuerySet:
    """Visible deployments with `model_name`, `model_slug`, `number` of the newest revision and
    `calm` (0: a person should look)."""
    newest = Revision.objects.filter(deployment=OuterRef("pk")).order_by("-number")
    rows: DeploymentQuerySet = (
        Deployment.objects.visible_to(principal)
        .select_related("team", "created_by")
        .annotate(
            model_name=Subquery(newest.values("model__name")[:1]),
            model_slug=Subquery(newest.values("model_id")[:1]),
            number=Subquery(newest.values("number")[:1]),
            calm=_calm(),
        )
    )
    return rows


def _calm() -> Case:
    """The same rule as engine.fare, in SQL, so that pages can be cut after sorting."""
    live = Workspace.objects.live().exclude(state="retiring").filter(deployment=OuterRef("pk"))
    trouble = Q(state__in=["stuck", "not_ready", "unknown"]) | Q(cluster__state__in=SILENT)
    outside = ~Q(changed_outside=[])
    return Case(
        When(~Q(state="active"), then=Value(1)),
        When(Exists(live.filter(trouble | outside)), then=Value(0)),
        When(pk__in=needing_a_person(), then=Value(0)),
        default=Value(1),
        output_field=IntegerField(),
    )


def matching(rows: DeploymentQuerySet, filters: Mapping[str, str]) -> DeploymentQuerySet:
    """Rows for the page's filters: q (name or model), team (slug), state (one of SHOWN)."""
    if filters.get("q"):
        word = filters["q"]
        rows = rows.filter(Q(name__icontains=word) | Q(model_name__icontains=word))
    if filters.get("team"):
        rows = rows.filter(team__slug=filters["team"])
    state = filters.get("state")
    if state == "attention":
        return rows.filter(Q(("calm", 0)))
    return rows.filter(state=state) if state in SHOWN else rows.exclude(state="retired")


def sorted_by(rows: DeploymentQuerySet, sort: str) -> QuerySet[Deployment]:
    """Those that need a person first; then one of SORTS, "-" for descending."""
    name = sort.removeprefix("-")
    column = F(SORTS.get(name, "name"))
    ordered = column.desc(nulls_last=True) if sort.startswith("-") else column.asc(nulls_last=True)
    return rows.order_by(F("calm"), ordered, "name", "pk")


def rows_of(deployments: Sequence[Deployment]) -> list[DeploymentRow]:
    """Lines for deployments that came from `deployments_for`: two more queries for all."""
    living = living_of(deployments)
    moving = motions([deployment.pk for deployment in deployments])
    return [_row(one, living[one.pk], moving.get(one.pk)) for one in deployments]


def row_of(deployment: Deployment) -> DeploymentRow:
    return rows_of([deployment])[0]


def _row(deployment: Deployment, living: Sequence[Living], motion: Motion | None) -> DeploymentRow:
    counted = [one for one in living if one.state not in ("retiring", "planned")]
    ready = [one.ready_replicas for one in counted if one.ready_replicas is not None]
    return DeploymentRow(
        deployment=deployment,
        model_name=deployment.model_name or "",  # type: ignore[attr-defined]
        model_slug=deployment.model_slug or "",  # type: ignore[attr-defined]
        number=deployment.number,  # type: ignore[attr-defined]
        fare=fare_of(deployment, living, motion),
        motion=motion,
        price=price_now(living),
        serves=_serves(living),
        replicas=sum(one.replicas for one in counted),
        ready_replicas=sum(ready) if len(ready) == len(counted) else None,
    )


def _serves(living: Sequence[Living]) -> tuple[int, ...]:
    found = {one.revision_number for one in living if one.serving}
    return tuple(sorted(found, reverse=True))


def fare_of(deployment: Deployment, living: Sequence[Living], motion: Motion | None) -> Fare:
    going = None
    if motion is not None:
        going = Going(motion.label, motion.tone, motion.note, motion.active, motion.attention)
    return fare(deployment.state, [look_of(one) for one in living], going)


def look_of(workspace: Living) -> Look:
    return Look(
        cluster=workspace.cluster_name,
        cluster_state=workspace.cluster_state,
        state=workspace.state,
        label=WORKSPACE.states[workspace.state].label,
        reason=workspace.reason,
        message=workspace.message,
        serving=workspace.serving,
        outside=tuple(workspace.changed_outside),
    )
