"""`rollouts/`: where each stands, what it waits for, and the actions on one that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.principal import declares
from fleetportal.kit.paths import path_to
from fleetportal.rest.bodies import Body
from fleetportal.rest.endpoints import ReadEndpoint
from fleetportal.rest.filters import Filter
from fleetportal.rest.preconditions import check_version
from fleetportal.rest.rows import Rows
from rollouts.engine.types import GateKind, TargetPhase
from rollouts.models import Approval, Gate, Rollout, Stage, Target
from rollouts.selectors.rollouts import rollouts_for
from rollouts.selectors.words import wait_of
from rollouts.services import control
from rollouts.states import GATE, ROLLOUT, STAGE, TARGET

Does = Callable[..., None]


class WaitAnswer(Rows):
    kind = serializers.CharField()
    text = serializers.CharField()
    who = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)


class GateAnswer(Rows, serializers.ModelSerializer[Gate]):
    kind = serializers.ChoiceField(choices=[kind.value for kind in GateKind], read_only=True)
    state = serializers.ChoiceField(choices=sorted(GATE.states), read_only=True)
    approval = serializers.SerializerMethodField()

    class Meta:
        model = Gate
        fields = ("id", "kind", "state", "message", "verdict", "verdict_at", "until", "approval")

    def get_approval(self, gate: Gate) -> str | None:
        """The id of its newest request for a decision."""
        asked: list[Approval] = gate.asked  # type: ignore[attr-defined]
        newest = max(asked, key=lambda one: one.created_at, default=None)
        return str(newest.pk) if newest else None


class TargetAnswer(Rows, serializers.ModelSerializer[Target]):
    cluster = serializers.CharField(source="cluster.name", read_only=True)
    phase = serializers.ChoiceField(choices=[phase.value for phase in TargetPhase], read_only=True)
    state = serializers.ChoiceField(choices=sorted(TARGET.states), read_only=True)
    workspace = serializers.UUIDField(source="new_id", read_only=True, allow_null=True)

    class Meta:
        model = Target
        fields = (
            *("id", "version", "cluster", "phase", "state", "message", "attempt", "serving"),
            *("deadline", "not_before", "workspace"),
        )


class StageAnswer(Rows, serializers.ModelSerializer[Stage]):
    state = serializers.ChoiceField(choices=sorted(STAGE.states), read_only=True)
    gates = GateAnswer(source="all_gates", many=True, read_only=True)
    targets = TargetAnswer(source="all_targets", many=True, read_only=True)

    class Meta:
        model = Stage
        fields = (
            *("id", "name", "state", "note", "max_concurrency", "started_at"),
            *("soak_started_at", "passed_at", "gates", "targets"),
        )


class RolloutAnswer(Rows, serializers.ModelSerializer[Rollout]):
    """`waiting_for` is null once nothing is waited for. Rows come from `with_parts`."""

    url = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=sorted(ROLLOUT.states), read_only=True)
    waiting_for = serializers.SerializerMethodField()
    team = serializers.CharField(source="team.slug", read_only=True)
    deployment = serializers.UUIDField(source="deployment_id", read_only=True)
    name = serializers.CharField(source="deployment.name", read_only=True)
    revision = serializers.IntegerField(source="revision.number", read_only=True)
    model = serializers.CharField(source="revision.model_id", read_only=True)
    plan = serializers.UUIDField(source="plan_id", read_only=True)
    strategy = serializers.CharField(source="strategy_name", read_only=True)
    requested_by = serializers.CharField(source="requested_by.username", read_only=True)
    stages = StageAnswer(source="all_stages", many=True, read_only=True)

    class Meta:
        model = Rollout
        fields = (
            *("id", "url", "version", "state", "waiting_for", "digest", "team", "deployment"),
            *("name", "revision", "model", "plan", "strategy", "requested_by", "pause", "abort"),
            *("rollback", "created_at", "ended_at", "stages"),
        )

    def get_url(self, rollout: Rollout) -> str:
        return path_to("rollout", rollout.pk)

    @extend_schema(responses=WaitAnswer)
    def get_waiting_for(self, rollout: Rollout) -> dict[str, Any] | None:
        wait = wait_of(rollout)
        return None if wait is None else _WAIT.to_representation(wait)


_WAIT = WaitAnswer()


class Why(Body):
    reason = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=2000, help_text="For the journal."
    )


# What is answered of each, and what ties it to the one above; rows are longer.
ROLLOUTS = (
    *("version", "state", "waiting_for", "digest", "plan", "strategy_name", "pause", "abort"),
    *("rollback", "created_at", "ended_at", "team__slug", "deployment__name"),
    *("revision__number", "revision__model", "requested_by__username"),
)
BESIDE = ("team", "deployment", "revision", "requested_by")
STAGES = (
    "rollout",
    *(name for name in StageAnswer.Meta.fields if name not in ("gates", "targets")),
)
GATES = ("stage", *(name for name in GateAnswer.Meta.fields if name != "approval"))
TARGETS = (
    *("stage", "new", "cluster__name", "id", "version", "phase", "state", "message", "attempt"),
    *("serving", "deadline", "not_before"),
)


def with_parts(rows: QuerySet[Rollout]) -> QuerySet[Rollout]:
    """With stages, gates, targets and requests, as plain lists: four queries for all rows."""
    targets = Target.objects.select_related("cluster").only(*TARGETS)
    asked = Approval.objects.only("gate_id", "created_at")
    return rows.prefetch_related(
        Prefetch("stages", queryset=Stage.objects.only(*STAGES), to_attr="all_stages"),
        Prefetch("all_stages__gates", queryset=Gate.objects.only(*GATES), to_attr="all_gates"),
        Prefetch("all_stages__all_gates__approvals", queryset=asked, to_attr="asked"),
        Prefetch("all_stages__targets", queryset=targets, to_attr="all_targets"),
    )


@declares("view")
class Rollouts(ReadEndpoint):
    """Newest first. Actions are wishes: the answer is 202, and `state` follows."""

    model = Rollout
    serializer_class = RolloutAnswer
    verbs: ClassVar[dict[str, str]] = dict.fromkeys(
        ("pause", "resume", "retry", "abort", "rollback", "retire_old"), "rollout.control"
    )
    filters: ClassVar[dict[str, Filter]] = {
        "state": Filter("state__in", "choice", tuple(ROLLOUT.states)),
        "team": Filter("team__slug"),
        "deployment": Filter("deployment_id", "uuid"),
        "name": Filter("deployment__name"),
    }
    orderings: ClassVar[dict[str, str]] = {
        "created_at": "created_at",
        "ended_at": "ended_at",
        "name": "deployment__name",
        "team": "team__slug",
    }

    def rows(self) -> QuerySet[Rollout]:
        if self.action != "list":
            return with_parts(rollouts_for(self.principal))
        rows = Rollout.objects.visible_to(self.principal).select_related(*BESIDE)
        return with_parts(rows.only(*ROLLOUTS))

    @extend_schema(request=Why, responses={202: RolloutAnswer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Begin nothing new; what is in flight finishes."""
        return self._do(request, control.rollout_pause)

    @extend_schema(request=Why, responses={202: RolloutAnswer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        return self._do(request, control.rollout_resume)

    @extend_schema(request=Why, responses={202: RolloutAnswer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Another attempt for everything that failed; 409 `nothing-to-retry` where nothing did."""
        return self._do(request, control.rollout_retry)

    @extend_schema(request=Why, responses={202: RolloutAnswer})
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, pk: str) -> Response:
        """End it here: what serves stays, what does not serve yet is taken away."""
        return self._do(request, control.rollout_abort)

    @extend_schema(request=Why, responses={202: RolloutAnswer})
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, pk: str) -> Response:
        """Every cluster that was touched goes back, the last stage first."""
        return self._do(request, control.rollout_rollback)

    @extend_schema(request=Why, responses={202: RolloutAnswer})
    @action(detail=True, methods=["post"], url_path="retire-old")
    def retire_old(self, request: Request, pk: str) -> Response:
        """Give up the old revision that is kept warm before its time."""
        return self._do(request, control.rollout_retire_now)

    def _do(self, request: Request, does: Does) -> Response:
        asked = Why.sent(request)
        rollout = self.get_object()
        check_version(request, rollout)
        does(principal=self.principal, rollout=rollout, reason=asked["reason"])
        return Response(RolloutAnswer(self.get_object()).data, status=202)
