from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import RequestFactory
from django.utils import timezone

from fleetportal.accounts import limits
from fleetportal.accounts.limits import TooManyTries, login_try, network_of
from fleetportal.accounts.models import LoginFailure, User
from tests.support import PASSWORD, People, race


def attempt(username: str, password: str = "wrong", address: str = "192.0.2.1") -> User | None:
    request = RequestFactory().post("/login/", REMOTE_ADDR=address)
    return login_try(request=request, username=username, password=password)


def test_the_eleventh_try_is_refused_even_with_the_right_password(people: People) -> None:
    for _ in range(limits.PER_ACCOUNT):
        assert attempt("engineer") is None
    with pytest.raises(TooManyTries):
        attempt("engineer", PASSWORD, address="198.51.100.7")


def test_the_same_name_in_other_letters_is_the_same_account(people: People) -> None:
    for _ in range(limits.PER_ACCOUNT):
        attempt("Engineer")
    with pytest.raises(TooManyTries):
        attempt("ENGINEER", PASSWORD)


def test_the_limit_holds_for_names_that_do_not_exist(people: People) -> None:
    for _ in range(limits.PER_ACCOUNT):
        attempt("nobody")
    with pytest.raises(TooManyTries):
        attempt("nobody")


def test_another_account_from_another_network_is_not_touched(people: People) -> None:
    for _ in range(limits.PER_ACCOUNT):
        attempt("engineer")
    assert attempt("approver", PASSWORD, address="198.51.100.7") == people.approver


def test_after_the_window_the_account_is_free_again(people: People) -> None:
    for _ in range(limits.PER_ACCOUNT):
        attempt("engineer")
    LoginFailure.objects.update(at=timezone.now() - limits.WINDOW - timedelta(seconds=1))
    assert attempt("engineer", PASSWORD) == people.engineer


def test_one_network_that_tries_many_names_is_stopped(people: People) -> None:
    now = timezone.now()
    LoginFailure.objects.bulk_create(
        LoginFailure(account=f"name{number}", network="192.0.2.1", at=now)
        for number in range(limits.PER_NETWORK)
    )
    with pytest.raises(TooManyTries):
        attempt("engineer", PASSWORD)
    assert attempt("engineer", PASSWORD, address="192.0.2.2") == people.engineer


def test_ten_thousand_names_do_not_push_an_account_out_of_the_limit(people: People) -> None:
    for _ in range(limits.PER_ACCOUNT):
        attempt("engineer")
    now = timezone.now()
    LoginFailure.objects.bulk_create(
        LoginFailure(account=f"name{number}", network=f"2001:db8:{number:x}::", at=now)
        for number in range(10_000)
    )
    with pytest.raises(TooManyTries):
        attempt("engineer", PASSWORD)


@pytest.mark.parametrize("name", ["", "x" * 5000, "engineer\x00", "ẞ" * 150])
def test_odd_names_are_simply_wrong(people: People, name: str) -> None:
    assert attempt(name) is None
    assert LoginFailure.objects.count() == 1


def test_addresses_of_one_ipv6_network_count_together() -> None:
    def network(address: str) -> str:
        return network_of(RequestFactory().get("/", REMOTE_ADDR=address))

    assert network("2001:db8:1:2:aaaa::1") == network("2001:db8:1:2:bbbb::2")
    assert network("2001:db8:1:3::1") != network("2001:db8:1:2::1")
    assert network("192.0.2.9") == "192.0.2.9"
    assert network("not an address") == "unknown"


def test_a_forwarded_header_does_not_choose_the_network() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.9", HTTP_X_FORWARDED_FOR="203.0.113.5")
    assert network_of(request) == "192.0.2.9"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_many_tries_at_once_do_not_slip_through_together(people: People) -> None:
    for _ in range(limits.PER_ACCOUNT - 2):
        attempt("engineer")
    results = race(lambda _: attempt("engineer"), 6)
    assert results.count(None) <= 2
    assert all(isinstance(result, TooManyTries) for result in results if result is not None)


def test_what_no_longer_counts_is_forgotten(people: People) -> None:
    attempt("nobody")
    LoginFailure.objects.update(at=timezone.now() - limits.WINDOW - timedelta(seconds=1))
    attempt("engineer")
    assert list(LoginFailure.objects.values_list("account", flat=True)) == ["engineer"]
