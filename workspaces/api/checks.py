"""`checks/{id}/`: what became of a question to a cluster (a dry-run, a test prompt)."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.mixins import RetrieveModelMixin

from clusters.models import Check
from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Missing
from fleetportal.rest.endpoints import Endpoint
from workspaces.selectors.logs import LOGS, log_is_theirs


class CheckRow(serializers.ModelSerializer[Check]):
    """`result` is empty until `state` is done or failed."""

    cluster = serializers.SlugRelatedField[Check](slug_field="name", read_only=True)
    result = serializers.JSONField(read_only=True)

    class Meta:
        model = Check
        fields = (
            *("id", "kind", "state", "cluster", "subject_id", "result"),
            *("created_at", "finished_at"),
        )


@declares("view")
class Checks(RetrieveModelMixin, Endpoint):
    """Those of one's teams; ids come from the endpoints that ask."""

    model = Check
    serializer_class = CheckRow
    lookup_field = "id"

    def rows(self) -> QuerySet[Check]:
        return Check.objects.visible_to(self.principal).select_related("cluster")

    def get_object(self) -> Check:
        """What was read of a log may hold prompts: only for who asked, and only while they may."""
        check: Check = super().get_object()
        if check.kind == LOGS and not log_is_theirs(self.principal, check):
            raise Missing("There is nothing here, or you may not see it.")
        return check
