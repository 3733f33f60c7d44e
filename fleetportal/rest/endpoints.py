"""What every endpoint of the API has: a principal, an allow-list of parameters, idempotent writes.

Apps build their view sets from `Endpoint` (or `Part`, for a path that is no list of objects),
declare their verbs, and give `<app>/api.py` with `register(router)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.urls import URLPattern, URLResolver
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from fleetportal.accounts.principal import Principal
from fleetportal.kit.errors import Missing
from fleetportal.rest import idempotency
from fleetportal.rest.auth import WRITES, principal_of
from fleetportal.rest.filters import Filter, ListFilters
from fleetportal.rest.models import IdempotencyRecord


class Replay(Exception):
    """The first answer is given again; nothing is done."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Common(APIView):
    """The principal, and `Idempotency-Key` on every write."""

    _record: IdempotencyRecord | None = None

    @property
    def principal(self) -> Principal:
        return principal_of(self.request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in WRITES:
            begun = idempotency.begin(request, principal_of(request))
            if begun.replay is not None:
                raise Replay(begun.replay)
            self._record = begun.record

    def handle_exception(self, exc: Exception) -> Response:
        return exc.response if isinstance(exc, Replay) else super().handle_exception(exc)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        if self._record is not None:
            idempotency.finish(self._record, response)
        return super().finalize_response(request, response, *args, **kwargs)


class Part(Common):
    """A path of its own (fleet/overview/)."""


class Endpoint(Common, GenericViewSet[Any]):
    """A view set. `verbs` maps an action to its verb; the class's own verb holds for reading.

    Subclasses implement `rows()`: what the principal may see (`visible_to`).
    """

    model: ClassVar[type[Model] | None] = None  # what `rows` gives, for the schema
    verbs: ClassVar[Mapping[str, str]] = {}
    filters: ClassVar[Mapping[str, Filter]] = {}
    orderings: ClassVar[Mapping[str, str]] = {}
    filter_backends = (ListFilters,)
    lookup_value_regex = "[^/]+"  # model ids contain dots

    def rows(self) -> QuerySet[Any]:
        raise NotImplementedError

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False) and self.model is not None:
            return self.model._default_manager.none()
        return self.rows()

    def get_object(self) -> Any:
        """The object of the path, or Missing: foreign, absent and malformed look the same."""
        value = self.kwargs[self.lookup_url_kwarg or self.lookup_field]
        try:
            found = self.rows().filter(**{self.lookup_field: value}).first()
        except (ValueError, TypeError, ValidationError):
            found = None
        if found is None:
            raise Missing("There is nothing here, or you may not see it.")
        return found


class ReadEndpoint(ListModelMixin, RetrieveModelMixin, Endpoint):
    """A list and its objects."""


class Router(SimpleRouter):
    """SimpleRouter that also takes single paths."""

    def __init__(self) -> None:
        super().__init__()
        self._paths: list[URLPattern] = []

    def add(self, *patterns: URLPattern) -> None:
        self._paths.extend(patterns)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [*self._paths, *super().get_urls()]
