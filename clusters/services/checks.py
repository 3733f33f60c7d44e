"""Questions to clusters: asked by a request, answered by a worker, read again by the page."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from clusters.models import Check, Cluster
from clusters.states import CHECK
from fleetportal.accounts.models import Team
from fleetportal.accounts.principal import Principal
from fleetportal.kit.doorbell import ring
from fleetportal.kit.errors import PortalError, Temporary
from fleetportal.kit.states import move
from fleetportal.pulse import leases, ticker

Answer = dict[str, Any]
MOST_WAITING = 4  # requests of one person; there are some 30 threads (fleetportal.live.threads)
_waiting: Counter[int | None] = Counter()
_lock = threading.Lock()
LEASE = 35.0  # seconds
TRIES = 3
KEEP = timedelta(days=7)
LOST = {"error": "The worker did not come back with an answer.", "remedy": "Try again."}


def check_request(
    *,
    kind: str,
    cluster: Cluster | None = None,
    principal: Principal | None = None,
    team: Team | None = None,
    subject_id: object = "",
    request: Answer | None = None,
) -> Check:
    """Ask. `kind` names the task that answers."""
    with transaction.atomic():
        check = Check.objects.create(
            kind=kind,
            cluster=cluster,
            team=team,
            subject_id=str(subject_id),
            request=request or {},
            requested_by=principal.user if principal else None,
        )
        ring(kind, check.pk)
    return check


def check_wait(check: Check, *, seconds: float = 3.0) -> Check:
    """Give a worker a moment, so that most answers are on the page that asked. Reads only."""
    with moment(check, seconds) as allowed:
        deadline = time.monotonic() + allowed
        pause = 0.02
        while check.state in CHECK.active and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(0.2, pause * 1.5)
            check.refresh_from_db()
    return check


@contextmanager
def moment(check: Check, seconds: float) -> Iterator[float]:
    """Seconds that a request may wait for the answer: none where MOST_WAITING of the same person
    wait in this process. Else one who asks again and again would hold all its threads.
    """
    who = check.requested_by_id
    with _lock:
        _waiting[who] += 1
        allowed = seconds if _waiting[who] <= MOST_WAITING else 0.0
    try:
        yield allowed
    finally:
        with _lock:
            _waiting[who] -= 1
            if not _waiting[who]:
                del _waiting[who]


def check_run(pk: str, answer: Callable[[Check], Answer]) -> None:
    """Answer one check under a lease. A Temporary error is tried TRIES times, others end it.

    A worker that is lost on the way counts as a try, so that no check is begun for ever.
    """
    check = Check.objects.select_related("cluster").filter(pk=pk).first()
    if check is None or check.state not in CHECK.active or not leases.claim(check, seconds=LEASE):
        return
    if check.attempts >= TRIES:
        _to(check, "failed", result=LOST, finished_at=timezone.now())
        return
    _begin(check)
    try:
        result = answer(check)
    except Temporary as error:
        _later(check, error)
    except PortalError as error:
        _to(check, "failed", result=_failure(error), finished_at=timezone.now())
    else:
        _to(check, "done", result=result, finished_at=timezone.now())


def _begin(check: Check) -> None:
    if check.state == "pending":
        _to(check, "running", attempts=check.attempts + 1)
        return
    Check.objects.filter(pk=check.pk).update(attempts=F("attempts") + 1)
    check.attempts += 1


def checks_prune() -> int:
    """Forget old answers."""
    old = Check.objects.filter(created_at__lt=timezone.now() - KEEP, state__in=CHECK.terminal)
    return old.delete()[0]


def _later(check: Check, error: Temporary) -> None:
    if check.attempts >= TRIES:
        _to(check, "failed", result=_failure(error), finished_at=timezone.now())
        return
    _to(check, "pending", result=_failure(error))
    leases.release(check, not_before=timezone.now() + timedelta(seconds=error.delay or 1))


def _to(check: Check, state: str, **fields: Any) -> None:
    move(check, state, machine=CHECK, expect={"lease_token": check.lease_token}, **fields)


def _failure(error: PortalError) -> Answer:
    return {"error": error.message, "remedy": error.remedy, "type": error.type}


def answers_checks(kind: str, step: Callable[[str], None]) -> None:
    """Say who answers a kind of check, so that the ticker can ring again for those left waiting."""

    def due(now: datetime, limit: int) -> Iterable[object]:
        return Check.objects.due(now).filter(kind=kind).values_list("pk", flat=True)[:limit]

    ticker.register(kind, due, step)
