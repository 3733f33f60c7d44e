"""`teams/{slug}/secret/`: a team's Hugging Face token, written and never read."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.principal import declares
from fleetportal.kit.errors import Missing
from fleetportal.rest.bodies import Body
from fleetportal.rest.endpoints import Part
from workspaces.services.secrets import secret_set


class NewSecret(Body):
    value = serializers.CharField(max_length=500, write_only=True)


class SecretAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    version = serializers.IntegerField()
    set_at = serializers.DateTimeField()


@declares("secret.write")
class TeamToken(Part):
    """PUT stores or replaces it. Nothing gives it back."""

    @extend_schema(request=NewSecret, responses=SecretAnswer)
    def put(self, request: Request, slug: str) -> Response:
        team = next((one for one in self.principal.teams() if one.slug == slug), None)
        if team is None:
            raise Missing("There is no such team, or you may not see it.")
        asked = NewSecret.sent(request)
        stored = secret_set(principal=self.principal, team=team, value=asked["value"])
        return Response({"name": stored.name, "version": stored.version, "set_at": stored.set_at})
