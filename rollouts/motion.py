"""What pages of deployments say about rollouts: handed down to workspaces at start-up, since that
app may not look up here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.urls import NoReverseMatch

from fleetportal.kit.paths import path_to
from rollouts.models import Rollout, Strategy
from rollouts.selectors.words import label_of
from rollouts.states import ROLLOUT
from workspaces.selectors.motion import Motion

_SAID = ("deployment_id", "state", "waiting_for")  # what a motion is made of; rows are long
# Kinds of rollouts.engine.waiting.WaitKind that a person ends.
PERSON = ("approval", "approval_expired", "held", "decision")
ENDED_BADLY = ("rolled_back_partially", "rollback_blocked", "aborted_outside")


def motions(deployments: Iterable[UUID]) -> Mapping[UUID, Motion]:
    """The newest rollout of each deployment."""
    rows = _newest().filter(deployment_id__in=list(deployments))
    return {row.deployment_id: _motion(row) for row in rows.only(*_SAID)}


def waiting() -> QuerySet[Rollout, UUID]:
    """Deployments whose newest rollout needs a person."""
    person = Q(waiting_for__kind__in=PERSON, state__in=sorted(ROLLOUT.active))
    rows = _newest().filter(person | Q(state__in=("failed", *ENDED_BADLY)))
    return rows.values_list("deployment_id", flat=True)


def strategies() -> list[tuple[str, str]]:
    """(slug, slug): staged before the others."""
    slugs = list(Strategy.objects.values_list("slug", flat=True))
    return [(slug, slug) for slug in sorted(slugs, key=lambda slug: (slug != "staged", slug))]


def _newest() -> QuerySet[Rollout]:
    latest = Rollout.objects.filter(deployment=OuterRef("deployment")).order_by(
        "-created_at", "-pk"
    )
    return Rollout.objects.filter(pk=Subquery(latest.values("pk")[:1])).order_by()


def _motion(row: Rollout) -> Motion:
    state = ROLLOUT.states[row.state]
    kind = str(row.waiting_for.get("kind", ""))
    active = row.state in ROLLOUT.active
    return Motion(
        label=label_of(row),
        tone=state.tone,
        note=_sentence(str(row.waiting_for.get("text", ""))) if active else "",
        url=_url("rollout", row.pk),
        active=active,
        attention=(active and kind in PERSON) or row.state in ("failed", *ENDED_BADLY),
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _url(name: str, pk: UUID) -> str:
    try:
        return path_to(name, pk)
    except NoReverseMatch:
        return ""
