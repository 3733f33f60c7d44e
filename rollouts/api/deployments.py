"""`deployments/`: what workspaces shows of them, with the two writes that need a rollout."""

from __future__ import annotations

from typing import ClassVar

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.rest.bodies import Body
from fleetportal.rest.filters import refuse_unknown
from fleetportal.rest.preconditions import check_version
from rollouts.services.deletion import deployment_delete
from rollouts.services.start import rollout_start
from workspaces.api.deployments import DeploymentAnswer, DeploymentViewSet, deployment_answer
from workspaces.models import Plan


class NewDeployment(Body):
    plan = serializers.UUIDField(help_text="A plan that is `ready`.")
    digest = serializers.CharField(max_length=80, help_text="The plan's, as you read it.")


class StartedDeployment(DeploymentAnswer):
    rollout = serializers.CharField(read_only=True, help_text="The id of its rollout.")


@declares("view")
class Deployments(DeploymentViewSet):
    verbs: ClassVar[dict[str, str]] = {
        **DeploymentViewSet.verbs,
        "create": "deployment.create",
        "destroy": "deployment.delete",
    }

    @extend_schema(request=NewDeployment, responses={201: StartedDeployment})
    def create(self, request: Request) -> Response:
        """Start the rollout of a plan: of a new deployment, or of an existing one's revision."""
        asked = NewDeployment.sent(request)
        plan = Plan.objects.visible_to(self.principal).filter(pk=asked["plan"])
        found = plan.select_related("team", "deployment", "model").first()
        if found is None:
            raise Invalid(FieldProblem("plan", "is none that you can see", "See plans/."))
        rollout = rollout_start(principal=self.principal, plan=found, digest=asked["digest"])
        body = deployment_answer(self.rows().get(pk=rollout.deployment_id))
        path = reverse("api-deployment-detail", args=[rollout.deployment_id])
        answer = {**body, "rollout": str(rollout.pk)}
        return Response(answer, status=201, headers={"Location": path})

    @extend_schema(
        parameters=[
            OpenApiParameter("confirm", OpenApiTypes.STR, required=True, description="Its name.")
        ],
        responses={202: DeploymentAnswer},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        """Drain it and take it off every cluster; 202: that takes a while."""
        refuse_unknown(request, ["confirm"])
        deployment = self.get_object()
        check_version(request, deployment)
        deployment_delete(
            principal=self.principal,
            deployment=deployment,
            confirm=request.query_params.get("confirm", ""),
        )
        return Response(deployment_answer(self.rows().get(pk=deployment.pk)), status=202)
