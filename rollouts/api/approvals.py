"""`approvals/`: requests for a decision with their evidence, and the votes on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.services.checks import check_wait
from fleetportal.accounts.principal import Principal, declares
from fleetportal.kit.paths import path_to
from fleetportal.rest.bodies import Body
from fleetportal.rest.endpoints import ReadEndpoint
from fleetportal.rest.filters import Filter
from fleetportal.rest.preconditions import check_version
from fleetportal.rest.rows import Rows
from rollouts.engine.types import Decision
from rollouts.models import Approval, Vote
from rollouts.selectors import approvals, evidence
from rollouts.selectors.approvals import Preflight
from rollouts.services.approvals import LONGEST_COMMENT, preflight_request, vote_cast
from rollouts.states import APPROVAL

WAIT_SECONDS = 3.0


class PreflightTarget(serializers.Serializer[Any]):
    cluster = serializers.CharField()
    why = serializers.CharField(help_text="Why it could not go on now; empty when it could.")


class PreflightAnswer(Rows):
    """`ready` of `of` targets could go on when it was `checked_at`; null where nobody knows."""

    state = serializers.SerializerMethodField()
    ready = serializers.IntegerField(allow_null=True)
    of = serializers.IntegerField(allow_null=True)
    checked_at = serializers.DateTimeField(source="at", allow_null=True)
    why = serializers.CharField()
    targets = PreflightTarget(source="rows", many=True)

    @extend_schema_field(
        serializers.ChoiceField(choices=["not_checked", "checking", "failed", "green", "red"])
    )
    def get_state(self, preflight: Preflight) -> str:
        if preflight.pending:
            return "checking"
        if preflight.of is None:
            return "failed" if preflight.at else "not_checked"
        return "green" if preflight.ready == preflight.of else "red"


class ChangeAnswer(serializers.Serializer[Any]):
    field = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()


class BenchmarkAnswer(serializers.Serializer[Any]):
    cluster = serializers.CharField()
    stage = serializers.CharField()
    peak_tokens_per_minute = serializers.FloatField(source="now", allow_null=True)
    before = serializers.FloatField(allow_null=True)
    change = serializers.FloatField(allow_null=True, help_text="A ratio: -0.31 is 31 % less.")


class EvidenceAnswer(serializers.Serializer[Any]):
    changes = serializers.SerializerMethodField()
    clusters = serializers.ListField(child=serializers.CharField())
    replicas = serializers.IntegerField()
    instance_types = serializers.ListField(child=serializers.CharField())
    cost_per_hour = serializers.FloatField(source="cost", allow_null=True, help_text="$/h more.")
    benchmarks = BenchmarkAnswer(many=True)

    @extend_schema_field(ChangeAnswer(many=True))
    def get_changes(self, found: evidence.Evidence) -> list[dict[str, str]]:
        return [
            {"field": f, "before": before, "after": after} for f, before, after in found.changes
        ]


class VoteAnswer(Rows, serializers.ModelSerializer[Vote]):
    voter = serializers.CharField(source="voter.username", read_only=True)
    decision = serializers.ChoiceField(choices=[one.value for one in Decision], read_only=True)

    class Meta:
        model = Vote
        fields = ("voter", "decision", "comment", "digest", "at")


_PREFLIGHT = PreflightAnswer()


class ApprovalRow(Rows, serializers.ModelSerializer[Approval]):
    """`can_decide` and `why_not` are about the one who asks. The list leaves `evidence` out."""

    url = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=sorted(APPROVAL.states), read_only=True)
    team = serializers.CharField(source="team.slug", read_only=True)
    rollout = serializers.UUIDField(source="rollout_id", read_only=True)
    name = serializers.CharField(source="rollout.deployment.name", read_only=True)
    revision = serializers.IntegerField(source="rollout.revision.number", read_only=True)
    stage = serializers.CharField(source="gate.stage.name", read_only=True)
    gate = serializers.CharField(source="gate.kind", read_only=True)
    requested_by = serializers.CharField(source="requester.username", read_only=True)
    can_decide = serializers.SerializerMethodField()
    why_not = serializers.SerializerMethodField()
    preflight = serializers.SerializerMethodField()
    votes = VoteAnswer(source="given", many=True, read_only=True)

    class Meta:
        model = Approval
        fields = (
            *("id", "url", "version", "state", "team", "rollout", "name", "revision", "stage"),
            *("gate", "digest", "requested_by", "roles", "quorum", "can_decide", "why_not"),
            *("preflight", "votes", "created_at", "expires_at", "decided_at"),
        )

    def get_url(self, approval: Approval) -> str:
        return path_to("approval", approval.pk)

    def get_can_decide(self, approval: Approval) -> bool:
        return self._judged(approval)[0]

    def get_why_not(self, approval: Approval) -> str:
        return self._judged(approval)[1]

    @extend_schema_field(PreflightAnswer)
    def get_preflight(self, approval: Approval) -> dict[str, Any]:
        found = approvals.preflight_of(self.context["preflights"].get(str(approval.pk)))
        return _PREFLIGHT.to_representation(found)

    def _judged(self, approval: Approval) -> tuple[bool, str]:
        principal: Principal = self.context["principal"]
        return approvals.judged(principal, approval, self.context["now"])


class ApprovalAnswer(ApprovalRow):
    evidence = serializers.SerializerMethodField()

    class Meta(ApprovalRow.Meta):
        fields = (*ApprovalRow.Meta.fields, "evidence")  # type: ignore[assignment]

    @extend_schema_field(EvidenceAnswer)
    def get_evidence(self, approval: Approval) -> dict[str, Any]:
        return dict(EvidenceAnswer(evidence.evidence_of(approval)).data)


class NewVote(Body):
    decision = serializers.ChoiceField(choices=[one.value for one in Decision])
    comment = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=LONGEST_COMMENT
    )
    digest = serializers.CharField(max_length=80, help_text="The approval's, as you read it.")


@declares("view")
class Approvals(ReadEndpoint):
    """Newest first. A vote names the digest it is for; another one is refused."""

    model = Approval
    verbs: ClassVar[dict[str, str]] = {"votes": "approval.vote", "preflight": "view"}
    serializer_class = ApprovalRow
    filters: ClassVar[dict[str, Filter]] = {
        "state": Filter("state__in", "choice", tuple(APPROVAL.states)),
        "team": Filter("team__slug"),
        "rollout": Filter("rollout_id", "uuid"),
    }
    orderings: ClassVar[dict[str, str]] = {"created_at": "created_at", "expires_at": "expires_at"}

    def rows(self) -> QuerySet[Approval]:
        seen = approvals.approvals_listed if self.action == "list" else approvals.approvals_for
        return seen(self.principal).order_by("-created_at", "pk")

    @extend_schema(responses=ApprovalRow(many=True))
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        rows = ApprovalRow(page, many=True, context=self._seen(page))
        return self.get_paginated_response(rows.data)

    @extend_schema(responses=ApprovalAnswer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(self._answer(self.get_object()))

    @extend_schema(request=NewVote, responses={201: ApprovalAnswer})
    @action(detail=True, methods=["post"])
    def votes(self, request: Request, pk: str) -> Response:
        """Give your answer. An approve runs the pre-flight first and needs it green."""
        asked = NewVote.sent(request)
        approval = self.get_object()
        check_version(request, approval)
        vote_cast(principal=self.principal, approval=approval, **asked)
        return Response(self._answer(self.get_object()), status=201)

    @extend_schema(request=None, responses={200: PreflightAnswer, 202: PreflightAnswer})
    @action(detail=True, methods=["post"])
    def preflight(self, request: Request, pk: str) -> Response:
        """Ask whether every target could go on now. 202 while a worker is at it: read it again."""
        check = preflight_request(principal=self.principal, approval=self.get_object())
        found = approvals.preflight_of(check_wait(check, seconds=WAIT_SECONDS))
        return Response(PreflightAnswer(found).data, status=202 if found.pending else 200)

    def _answer(self, approval: Approval) -> dict[str, Any]:
        return dict(ApprovalAnswer(approval, context=self._seen([approval])).data)

    def _seen(self, rows: Sequence[Approval]) -> dict[str, Any]:
        return {
            "principal": self.principal,
            "now": timezone.now(),
            "preflights": approvals.preflights([row.pk for row in rows]),
        }
