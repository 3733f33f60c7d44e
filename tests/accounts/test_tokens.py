from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from fleetportal.accounts.models import Token
from fleetportal.accounts.principal import Principal
from fleetportal.accounts.tokens import token_create, token_principal, token_revoke
from fleetportal.kit.errors import Invalid, Missing
from tests.support import People


def test_a_token_stands_for_its_user_within_its_scopes(people: People) -> None:
    _, text = token_create(user=people.engineer, name="ci", scopes=["read"])
    principal = token_principal(text)
    assert principal is not None
    assert principal.user == people.engineer
    assert principal.may("view")
    assert not principal.may("plan.create")
    assert principal.via == "token ci"


def test_a_token_without_scopes_may_what_its_user_may(people: People) -> None:
    _, text = token_create(user=people.engineer, name="ci")
    principal = token_principal(text)
    assert principal is not None
    assert principal.may("plan.create")


def test_the_text_of_a_token_is_nowhere_in_the_database(people: People) -> None:
    _, text = token_create(user=people.engineer, name="ci")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_token")
        row = repr(cursor.fetchall())
    assert text not in row
    assert text.split("_", 2)[2] not in row


def test_a_token_that_was_altered_is_unknown(people: People) -> None:
    _, text = token_create(user=people.engineer, name="ci")
    last = "A" if text[-1] != "A" else "B"
    for wrong in (text[:-1] + last, text + "A", text.upper(), "", "fp_", "fp__", text[3:]):
        assert token_principal(wrong) is None


def test_an_expired_or_revoked_token_is_refused(people: People) -> None:
    token, text = token_create(user=people.engineer, name="ci", expires_in_days=1)
    Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert token_principal(text) is None
    Token.objects.update(expires_at=timezone.now() + timedelta(days=1))
    assert token_principal(text) is not None
    assert token_revoke(principal=Principal(people.engineer), pk=token.pk)[1]
    assert token_principal(text) is None


def test_the_token_of_a_disabled_user_is_refused_at_once(people: People) -> None:
    _, text = token_create(user=people.engineer, name="ci")
    people.engineer.is_active = False
    people.engineer.save()
    assert token_principal(text) is None


def test_a_role_taken_away_is_gone_from_the_token_too(people: People) -> None:
    _, text = token_create(user=people.engineer, name="ci")
    people.engineer.memberships.all().delete()
    principal = token_principal(text)
    assert principal is not None
    assert not principal.may("view")


def test_nobody_revokes_a_token_of_somebody_else(people: People) -> None:
    token, text = token_create(user=people.engineer, name="ci")
    for pk in (token.pk, "not-a-uuid", "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(Missing):
            token_revoke(principal=Principal(people.admin), pk=pk)
    assert token_principal(text) is not None


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("scopes", {"scopes": ["everything"]}),
        ("expires_in_days", {"expires_in_days": 0}),
        ("expires_in_days", {"expires_in_days": 366}),
    ],
)
def test_a_bad_wish_names_its_field(people: People, field: str, arguments: dict[str, int]) -> None:
    with pytest.raises(Invalid) as caught:
        token_create(user=people.engineer, name="ci", **arguments)  # type: ignore[arg-type]
    assert caught.value.problems[0].field == field
