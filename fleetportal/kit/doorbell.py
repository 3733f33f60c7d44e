"""The only place that enqueues. A ring is a hint: losing it costs delay, doubling it costs nothing.

The row that is due is the truth; the ticker (fleetportal.pulse) rings again for every row that
still is. So a ring never raises: a broker that is down is logged and left to the ticker.
"""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.db import transaction

log = logging.getLogger(__name__)

QUIET = 5.0  # seconds without another try after a broker did not answer


class _Line:
    """Whether the broker answered last time: a dead one must not cost every request its timeout."""

    quiet_until = 0.0


def ring(task: str, pk: object) -> None:
    """Ask a worker to run `task` for the row `pk`, once the current transaction has committed."""
    transaction.on_commit(lambda: try_ring(task, pk))


def try_ring(task: str, pk: object) -> bool:
    """Ring now. False when the broker is out of reach: the caller may then run the step itself."""
    from celery import current_app
    from kombu.exceptions import KombuError

    if not settings.CELERY_BROKER_URL or time.monotonic() < _Line.quiet_until:
        return False
    try:
        current_app.send_task(task, args=[str(pk)], retry=False, ignore_result=True)
    except (KombuError, OSError) as error:
        _Line.quiet_until = time.monotonic() + QUIET
        log.warning("doorbell.silent", extra={"task": task, "error": str(error)})
        return False
    return True
