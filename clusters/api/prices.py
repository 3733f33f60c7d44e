"""`prices/`: the price book in force, stating a price, and importing a sheet."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.engine.price_sheet import COLUMNS, Wish, read_wish
from clusters.engine.prices import CAPACITY_TYPES
from clusters.selectors import prices as selectors
from clusters.services.prices import Effect, price_import, price_set
from fleetportal.accounts.principal import declares, require
from fleetportal.kit.errors import FieldProblem, Invalid
from fleetportal.rest.bodies import Body
from fleetportal.rest.endpoints import Part
from fleetportal.rest.filters import refuse_unknown


class PriceRow(serializers.Serializer[Any]):
    provider = serializers.CharField()
    region = serializers.CharField(help_text="Empty: every region without a price of its own.")
    instance_type = serializers.CharField()
    capacity_type = serializers.ChoiceField(choices=CAPACITY_TYPES)
    usd_per_hour = serializers.FloatField(allow_null=True, help_text="Of one node.")
    source = serializers.CharField()  # type: ignore[assignment]
    as_of = serializers.DateField(allow_null=True)
    stated_by = serializers.CharField(source="who", help_text="A user, or `shipped`.")
    stated_at = serializers.DateTimeField(source="at", allow_null=True)
    nodes = serializers.IntegerField(help_text="That go by it: existing, or declared by quota.")


class UnpricedRow(serializers.Serializer[Any]):
    provider = serializers.CharField()
    region = serializers.CharField()
    instance_type = serializers.CharField()
    capacity_type = serializers.CharField()
    nodes = serializers.IntegerField()
    clusters = serializers.ListField(child=serializers.CharField())


class PriceBookAnswer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    unpriced = UnpricedRow(many=True, help_text="Kinds of nodes in the fleet without a price.")
    results = PriceRow(many=True)


class Dollars(serializers.FloatField):
    """A number; `true` is none, although Python reads it as 1."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class NewPrice(Body):
    """`usd_per_hour` null takes back what was given before."""

    provider = serializers.CharField(max_length=20, allow_blank=True)
    region = serializers.CharField(max_length=60, allow_blank=True, default="")
    instance_type = serializers.CharField(max_length=80)
    capacity_type = serializers.ChoiceField(choices=CAPACITY_TYPES, default="on-demand")
    usd_per_hour = Dollars(allow_null=True)
    source = serializers.CharField(max_length=200)  # type: ignore[assignment]
    as_of = serializers.DateField(allow_null=True, default=None)


class Sheet(Body):
    csv = serializers.CharField(trim_whitespace=False, help_text=f"Columns: {','.join(COLUMNS)}.")
    dry_run = serializers.BooleanField(default=False)


class EffectRow(serializers.Serializer[Any]):
    provider = serializers.CharField()
    region = serializers.CharField()
    instance_type = serializers.CharField()
    capacity_type = serializers.CharField()
    before = serializers.FloatField(allow_null=True)
    after = serializers.FloatField(allow_null=True)
    changes = serializers.BooleanField(help_text="False: in force as it is, nothing is stored.")


class Imported(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField()
    prices = EffectRow(many=True)


@declares("view")
class Prices(Part):
    """The whole book in force; it is short enough for one answer."""

    @extend_schema(responses=PriceBookAnswer)
    def get(self, request: Request) -> Response:
        refuse_unknown(request, list(selectors.FILTERS))
        kinds = selectors.kinds(self.principal)
        rows = selectors.matching(selectors.lines(kinds), request.query_params)
        found = {"count": len(rows), "unpriced": selectors.unpriced(kinds), "results": rows}
        return Response(PriceBookAnswer(found).data)

    @extend_schema(request=NewPrice, responses={201: PriceRow})
    def post(self, request: Request) -> Response:
        """State a price, or take one back."""
        require(self.principal, "price.edit")
        sent = NewPrice.sent(request)
        wish = _wish(sent)
        price_set(principal=self.principal, wish=wish)
        return Response(PriceRow(selectors.history(wish.key)[0]).data, status=201)


@declares("price.edit")
class PriceImport(Part):
    """A CSV sheet, all of it or nothing."""

    @extend_schema(request=Sheet, responses=Imported)
    def post(self, request: Request) -> Response:
        sent = Sheet.sent(request)
        dry = sent["dry_run"]
        found = price_import(principal=self.principal, text=sent["csv"], dry=dry)
        return Response({"dry_run": dry, "prices": [_effect(one) for one in found]})


def _wish(sent: dict[str, Any]) -> Wish:
    """Raises Invalid."""
    texts = {name: "" if sent[name] is None else str(sent[name]) for name in COLUMNS}
    texts["usd_per_hour"] = texts["usd_per_hour"] or "none"
    found = read_wish(texts, timezone.now().date())
    if isinstance(found, Wish):
        return found
    raise Invalid([FieldProblem(one.field, one.message, one.remedy) for one in found])


def _effect(one: Effect) -> dict[str, Any]:
    names = ("provider", "region", "instance_type", "capacity_type")
    row = {name: getattr(one.wish, name) for name in names}
    return {**row, "before": one.before, "after": one.after, "changes": one.changes}
