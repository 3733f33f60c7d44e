"""Audit: who did what to what, and why; the journal and nothing else."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from fleetportal.accounts.principal import declares
from fleetportal.console.selectors import audit
from fleetportal.journal.selectors import PAGE_SIZE, events_for, filter_choices
from fleetportal.kit.errors import Invalid
from fleetportal.kit.htmx import page
from fleetportal.rest.auth import principal_of


@require_GET
@declares("audit.view")
def audit_page(request: HttpRequest) -> HttpResponse:
    """Filters and page are the query string; a wrong date is said at its field."""
    principal = principal_of(request)
    asked = {name: request.GET.get(name, "") for name in audit.FILTERS}
    errors: dict[str, str] = {}
    visible = events_for(principal)
    try:
        rows = audit.filtered(visible, audit.read_filters(asked))
    except Invalid as error:
        errors = {one.field: f"{one}" for one in error.problems}
        rows = visible.none()
    found = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page", 1))
    context: dict[str, Any] = {
        "page": found,
        "lines": audit.lines_of(found),
        "asked": asked,
        "filtered": any(asked.values()),
        "errors": errors,
        "choices": filter_choices(visible),
        "teams": principal.teams(),
    }
    status = 422 if errors else 200
    return page(request, "console/audit.html", context, part="list", status=status)


@require_GET
@declares("audit.view")
def audit_csv(request: HttpRequest) -> HttpResponseBase:
    """The same rows, without pages. Raises Invalid for a wrong date."""
    asked = {name: request.GET.get(name, "") for name in audit.FILTERS}
    rows = audit.filtered(events_for(principal_of(request)), audit.read_filters(asked))
    name = f"fleetportal-audit-{timezone.now():%Y%m%d-%H%M}.csv"
    return StreamingHttpResponse(
        audit.csv_lines(rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
