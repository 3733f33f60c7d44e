from __future__ import annotations

import socket
import time

import pytest
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from fleetportal.celery import app
from fleetportal.kit.doorbell import ring, try_ring


def test_without_a_broker_a_ring_is_refused_at_once() -> None:
    assert try_ring("pulse.beat", "1") is False


def test_a_broker_that_is_down_is_no_error_and_costs_its_timeout_once(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{probe.getsockname()[1]}/0"
    settings.CELERY_BROKER_URL = url
    before = app.conf.broker_url
    app.conf.update(broker_url=url)
    try:
        began = time.monotonic()
        assert not any(try_ring("pulse.beat", str(number)) for number in range(50))
        assert time.monotonic() - began < 5
    finally:
        app.conf.update(broker_url=before)


@pytest.mark.django_db
def test_a_ring_waits_for_the_commit_and_never_raises(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks, transaction.atomic():
        ring("pulse.beat", "1")
        assert not callbacks
    assert len(callbacks) == 1


@pytest.mark.django_db
def test_a_rolled_back_change_rings_nobody(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with (
        django_capture_on_commit_callbacks(execute=True) as callbacks,
        pytest.raises(RuntimeError),
        transaction.atomic(),
    ):
        ring("pulse.beat", "1")
        raise RuntimeError
    assert not callbacks
