"""`tokens/`: make one (also with user name and password), list one's own, revoke."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.models import Token
from fleetportal.accounts.principal import declares
from fleetportal.accounts.tokens import LONGEST_DAYS
from fleetportal.kit.roles import SCOPES
from fleetportal.rest.auth import PasswordAuthentication
from fleetportal.rest.bodies import Body
from fleetportal.rest.endpoints import Endpoint
from fleetportal.rest.services import token_issue, token_withdraw


class NewToken(Body):
    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(SCOPES)),
        required=False,
        default=list,
        help_text="Without any the token may do all that its user may.",
    )
    expires_in_days = serializers.IntegerField(
        required=False, default=30, min_value=1, max_value=LONGEST_DAYS
    )


class TokenRow(serializers.ModelSerializer[Token]):
    url = serializers.SerializerMethodField(help_text="A token has no page.")
    version = serializers.SerializerMethodField()

    class Meta:
        model = Token
        fields = (
            "id",
            "url",
            "version",
            "name",
            "prefix",
            "scopes",
            "created_at",
            "expires_at",
            "revoked_at",
        )

    def get_url(self, token: Token) -> str | None:
        return None

    def get_version(self, token: Token) -> int:
        return 1 if token.revoked_at is None else 2


class FreshToken(TokenRow):
    token = serializers.CharField(read_only=True, help_text="Shown in this answer and never again.")

    class Meta(TokenRow.Meta):
        fields = (*TokenRow.Meta.fields, "token")  # type: ignore[assignment]


@declares("token.own")
class Tokens(ListModelMixin, Endpoint):
    model = Token
    verbs: ClassVar[dict[str, str]] = {"create": "token.own", "destroy": "token.own"}
    serializer_class = TokenRow
    lookup_field = "id"

    def get_authenticators(self) -> list[Any]:
        method = getattr(self.request, "method", None)  # none while the schema is made
        basic = [PasswordAuthentication()] if method == "POST" else []
        return [*basic, *super().get_authenticators()]

    def rows(self) -> QuerySet[Token]:
        return Token.objects.filter(user=self.principal.user).order_by("-created_at", "id")

    @extend_schema(request=NewToken, responses={201: FreshToken})
    def create(self, request: Request) -> Response:
        asked = NewToken.sent(request)
        token, text = token_issue(principal=self.principal, **asked)
        return Response({**TokenRow(token).data, "token": text}, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        token_withdraw(principal=self.principal, pk=id)
        return Response(status=204)
