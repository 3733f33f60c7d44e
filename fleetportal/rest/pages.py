"""Lists: `page`, `page_size` asked for; `count`, `page`, `page_size`, `results` given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from django.core.paginator import Page as DjangoPage
from django.db.models import QuerySet
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.kit.errors import FieldProblem, Invalid

if TYPE_CHECKING:
    from rest_framework.views import APIView  # imports this module by its settings


class Page(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200  # a larger wish is cut to it; the answer says which size it has
    invalid_page_message = "There is no such page."

    def paginate_queryset(
        self,
        queryset: QuerySet[Any] | Sequence[Any],
        request: Request,
        view: APIView | None = None,
    ) -> list[Any] | None:
        for name in ("page", "page_size"):
            text = request.query_params.get(name)
            if text is not None and not _positive(text):
                raise Invalid(
                    FieldProblem(name, f"{text[:20]!r} is no page", "A whole number from 1.")
                )
        return super().paginate_queryset(queryset, request, view)

    def get_paginated_response(self, data: Any) -> Response:
        page = cast("DjangoPage[Any]", self.page)  # paginate_queryset has set it
        return Response(
            {
                "count": page.paginator.count,
                "page": page.number,
                "page_size": page.paginator.per_page,
                "next": self.get_next_link(),
                "previous": self.get_previous_link(),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        number = {"type": "integer"}
        return {
            "type": "object",
            "required": ["count", "page", "page_size", "results"],
            "properties": {
                "count": number,
                "page": number,
                "page_size": number,
                "next": link,
                "previous": link,
                "results": schema,
            },
        }


def _positive(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0
