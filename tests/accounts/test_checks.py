from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.urls import path
from pytest_django import Settings
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from fleetportal.accounts.checks import every_url_declares_a_verb, undeclared
from fleetportal.accounts.principal import declares


def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class Bare(APIView):
    pass


@declares("view")
class Writes(ViewSet):
    def create(self, request: Any) -> None: ...


@declares("view")
class Misspelt(ViewSet):
    verbs: ClassVar[dict[str, str]] = {"create": "plan.craete"}

    def create(self, request: Any) -> None: ...


@declares("view")
class Good(ViewSet):
    verbs: ClassVar[dict[str, str]] = {"create": "plan.create"}

    def list(self, request: Any) -> None: ...

    def create(self, request: Any) -> None: ...


def test_the_portal_itself_passes_all_checks() -> None:
    assert run_checks() == []


@pytest.mark.parametrize(
    ("view", "problem"),
    [
        (bare, "does not declare"),
        (Bare.as_view(), "does not declare"),
        (Writes.as_view({"post": "create"}), "writes in 'create' without a verb"),
        (Misspelt.as_view({"post": "create"}), "'plan.craete'"),
    ],
)
def test_a_view_that_does_not_say_who_may_call_it_is_found(view: Any, problem: str) -> None:
    assert problem in "; ".join(undeclared(view))


def test_a_view_that_says_it_passes() -> None:
    assert list(undeclared(Good.as_view({"get": "list", "post": "create"}))) == []
    assert list(undeclared(declares("view")(bare_copy()))) == []


def bare_copy() -> Any:
    return lambda request: HttpResponse()


def test_a_verb_that_does_not_exist_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match=r"kit\.roles\.VERBS"):
        declares("plan.everything")


def test_the_check_names_the_url(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.accounts.test_checks"
    errors = every_url_declares_a_verb()
    assert [error.id for error in errors] == ["accounts.E001"]
    assert "/forgotten/" in errors[0].msg


urlpatterns = [path("forgotten/", bare)]
