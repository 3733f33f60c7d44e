from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import Check
from fleetportal.pulse import leases
from fleetportal.pulse.models import Lease
from tests.support import race

pytestmark = pytest.mark.postgres


def make_check() -> Check:
    return Check.objects.create(kind="clusters.connection")


def expire(row: Check) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Check.objects.filter(pk=row.pk).update(lease_expires_at=past)


@pytest.mark.django_db
def test_a_claimed_row_is_not_claimed_twice() -> None:
    row = make_check()
    other = Check.objects.get(pk=row.pk)
    assert leases.claim(row, seconds=60)
    assert row.lease_token == 1
    assert not leases.claim(other, seconds=60)
    assert not leases.claim(Check.objects.get(pk=row.pk), seconds=60)


@pytest.mark.django_db
def test_a_lease_that_ran_out_is_taken_over_and_fences_the_old_holder() -> None:
    slow = make_check()
    assert leases.claim(slow, seconds=60)
    expire(slow)
    fresh = Check.objects.get(pk=slow.pk)
    assert leases.claim(fresh, seconds=60)
    assert fresh.lease_token == slow.lease_token + 1
    assert not leases.release(slow, not_before=None)
    assert leases.release(fresh, not_before=None)


@pytest.mark.django_db
def test_a_released_row_is_due_when_its_holder_said() -> None:
    row = make_check()
    assert leases.claim(row, seconds=60)
    later = timezone.now() + timedelta(seconds=30)
    assert leases.release(row, not_before=later)
    assert not Check.objects.all().due(timezone.now()).exists()
    assert Check.objects.all().due(later + timedelta(seconds=1)).exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_that_claim_a_row_at_once_one_gets_it() -> None:
    pk = make_check().pk

    def claim(_: int) -> bool:
        return leases.claim(Check.objects.get(pk=pk), seconds=60)

    assert sorted(map(bool, race(claim, 4))) == [False, False, False, True]
    assert Check.objects.get(pk=pk).lease_token == 1


@pytest.mark.django_db
def test_a_named_lease_is_extended_by_its_holder_with_the_same_token() -> None:
    assert leases.hold("ticker", seconds=10) == 1
    assert leases.hold("ticker", seconds=10) == 1


@pytest.mark.django_db
def test_a_named_lease_of_another_is_respected_until_it_runs_out() -> None:
    now = timezone.now()
    Lease.objects.create(
        name="ticker", holder="other", token=4, expires_at=now + timedelta(seconds=9)
    )
    assert leases.hold("ticker", seconds=10) is None
    Lease.objects.update(expires_at=now - timedelta(seconds=1))
    assert leases.hold("ticker", seconds=10) == 5


@pytest.mark.django_db(transaction=True)
def test_of_many_that_want_a_new_named_lease_one_gets_it() -> None:
    results = race(lambda _: leases.hold("collector", seconds=60), 4)
    assert sorted(result is not None for result in results) == [False, False, False, True]
    assert 1 in results
