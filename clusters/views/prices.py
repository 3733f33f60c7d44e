"""The price book: what a node costs, who says so, and changing it one by one or by a sheet."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from clusters.engine.price_sheet import COLUMNS
from clusters.engine.prices import CAPACITY_TYPES, key_of
from clusters.forms_prices import PriceForm, SheetForm
from clusters.selectors import prices as selectors
from clusters.services.prices import price_import, price_set
from fleetportal.accounts.principal import declares, require
from fleetportal.kit.errors import Invalid, Missing
from fleetportal.kit.htmx import page, redirect_to
from fleetportal.kit.sheets import csv_lines
from fleetportal.rest.auth import principal_of


@require_GET
@declares("view")
def price_list(request: HttpRequest) -> HttpResponse:
    """`?q=`, `?provider=`, `?show=`. What is in use and has no price comes first."""
    principal = principal_of(request)
    filters = _filters(request)
    kinds = selectors.kinds(principal)
    rows = selectors.lines(kinds)
    context: dict[str, Any] = {
        "filters": filters,
        "filtered": any(filters.values()),
        "unpriced": selectors.unpriced(kinds),
        "lines": selectors.matching(rows, filters),
        "count": len(rows),
        "providers": sorted({line.provider for line in rows if line.provider}),
        "may_edit": principal.may("price.edit"),
    }
    return page(request, "clusters/prices.html", context, part="list")


@require_GET
@declares("view")
def prices_csv(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The prices that the page lists, as a sheet that the import takes."""
    found = selectors.lines(selectors.kinds(principal_of(request)))
    rows = selectors.matching(found, _filters(request))
    body = csv_lines(COLUMNS, ([getattr(row, name) for name in COLUMNS] for row in rows))
    response = StreamingHttpResponse(body, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="prices.csv"'
    return response


@require_GET
@declares("view")
def price_history(request: HttpRequest) -> HttpResponse:
    """All that was ever said of one kind of node."""
    names = ("provider", "region", "instance_type", "capacity_type")
    found = selectors.history(key_of(*(_word(request, name) for name in names)))
    if not found:
        raise Missing("Nobody ever gave such a price.", remedy="Go back to the list of prices.")
    may_edit = principal_of(request).may("price.edit")
    context = {"lines": found, "price": found[0], "may_edit": may_edit}
    return render(request, "clusters/price_history.html", context)


@require_http_methods(["GET", "POST"])
@declares("price.edit")
def set_price(request: HttpRequest) -> HttpResponse:
    """State a price. The address may fill in the form."""
    principal = principal_of(request)
    require(principal, "price.edit")
    form = PriceForm.sent(request.POST) if request.method == "POST" else PriceForm.of(request.GET)
    if form.wish is not None:
        row = price_set(principal=principal, wish=form.wish)
        done = "has its price" if row.usd_per_hour is not None else "has its earlier price"
        messages.success(request, f"{row.instance_type} {done}.")
        return redirect_to(request, reverse("prices"))
    context = {"form": form, "capacities": [(one, one) for one in CAPACITY_TYPES]}
    return render(request, "clusters/price_set.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@declares("price.edit")
def import_prices(request: HttpRequest) -> HttpResponse:
    """A sheet, then what it would change, then the change."""
    principal = principal_of(request)
    require(principal, "price.edit")
    form = SheetForm.sent(request.POST, request.FILES) if request.method == "POST" else SheetForm()
    sure = request.POST.get("step") == "import"
    try:
        effects = price_import(principal=principal, text=form.text, dry=not sure) if form.ok else []
    except Invalid as error:
        form.refuse(error)
        effects = []
    fresh = [one for one in effects if one.changes]
    if effects and sure:
        messages.success(request, f"{len(fresh)} price{'' if len(fresh) == 1 else 's'} imported.")
        return redirect_to(request, reverse("prices"))
    same = len(effects) - len(fresh)
    context = {"form": form, "effects": fresh, "same": same, "columns": ",".join(COLUMNS)}
    status = 422 if form.problems else 200
    return render(request, "clusters/price_import.html", context, status=status)


def _filters(request: HttpRequest) -> dict[str, str]:
    found = {name: _word(request, name) for name in selectors.FILTERS}
    return found | {"show": found["show"] if found["show"] in selectors.CHOICES else ""}


def _word(request: HttpRequest, name: str) -> str:
    return request.GET.get(name, "").replace("\x00", "").strip()[:200]
