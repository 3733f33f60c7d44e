"""`workspaces/{id}/logs/`: the end of a container's log, read by a worker."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.principal import declares
from fleetportal.rest.bodies import Body
from fleetportal.rest.endpoints import Endpoint
from workspaces.api.checks import CheckRow
from workspaces.models import Workspace
from workspaces.services.logs import logs_ask


class LogQuestion(Body):
    """Without `pod` its first one, without `container` the pod's main one."""

    pod = serializers.CharField(required=False, default="", allow_blank=True, max_length=253)
    container = serializers.CharField(required=False, default="", allow_blank=True, max_length=63)
    previous = serializers.BooleanField(required=False, default=False)


class LogAnswer(CheckRow):
    """The check, and the text once it is there. `cut`: there was more before it."""

    pod = serializers.CharField(source="request.pod", read_only=True)
    container = serializers.CharField(source="request.container", read_only=True)
    previous = serializers.BooleanField(source="request.previous", read_only=True)
    text = serializers.CharField(source="result.text", default=None, read_only=True)
    cut = serializers.BooleanField(source="result.cut", default=None, read_only=True)

    class Meta(CheckRow.Meta):
        fields = (  # type: ignore[assignment]
            *("id", "kind", "state", "cluster", "subject_id", "created_at", "finished_at"),
            *("pod", "container", "previous", "text", "cut", "result"),
        )

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """`result` keeps what is not said already: the error and its remedy."""
        answer = super().to_representation(instance)
        said = ("text", "cut", "lines", "read_at")
        answer["result"] = {k: v for k, v in answer["result"].items() if k not in said}
        return answer


@declares("view")
class Logs(Endpoint):
    """Workspaces of one's teams; their ids come from `deployments/{id}/workspaces/`."""

    model = Workspace
    verbs: ClassVar[dict[str, str]] = {"logs": "logs.view"}
    serializer_class = LogAnswer
    lookup_field = "pk"

    def rows(self) -> QuerySet[Workspace]:
        rows = Workspace.objects.visible_to(self.principal)
        return rows.select_related("cluster", "deployment").defer("manifests")

    @extend_schema(request=LogQuestion, responses={201: LogAnswer, 202: LogAnswer})
    @action(detail=True, methods=["post"], filter_backends=())
    def logs(self, request: Request, pk: str) -> Response:
        """The last thousand lines, at most 256 KiB. 202 while a worker reads: see checks/{id}/."""
        asked = LogQuestion.sent(request)
        check = logs_ask(principal=self.principal, workspace=self.get_object(), **asked)
        return Response(LogAnswer(check).data, status=201 if check.finished_at else 202)
