"""`Idempotency-Key`: the same write sent twice happens once and gets the same answer.

A key belongs to a principal (user and scopes), a method and a path, for 24 hours. Only a success is
kept: a refusal changed nothing, so the same key may try again. A call that has not answered after
STUCK is taken for dead. The row is the lock: two calls at once meet at its unique column.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from fleetportal.accounts.principal import Principal
from fleetportal.kit.crypto import keyring
from fleetportal.kit.errors import FieldProblem, Invalid, Refused
from fleetportal.rest.models import IdempotencyRecord
from fleetportal.rest.renderers import dumps

KEPT = timedelta(hours=24)
STUCK = timedelta(seconds=120)  # longer than any request may take
LONGEST = 200
FORGET_AT_ONCE = 200  # rows deleted in one go: short write transactions
REPLAYED = "Idempotency-Replayed"


@dataclass(frozen=True, slots=True)
class Begun:
    """Either a record to finish, or the first answer to give again."""

    record: IdempotencyRecord | None = None
    replay: Response | None = None


def begin(request: Request, principal: Principal) -> Begun:
    """Take the request's key. Raises Invalid (other body, bad key) and Refused (in flight)."""
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return Begun()
    if not 1 <= len(text) <= LONGEST or not text.isprintable():
        raise Invalid(
            FieldProblem(
                "Idempotency-Key",
                f"must be 1 to {LONGEST} printable characters",
                "Send a UUID, a new one for each thing that you do.",
            )
        )
    key, body = _key(request, principal, text), _digest(_canonical(request))
    _forget_old(key)
    try:
        with transaction.atomic():
            return Begun(
                record=IdempotencyRecord.objects.create(
                    user=principal.user, key=key, body=body, created_at=timezone.now()
                )
            )
    except IntegrityError:
        return Begun(replay=_again(key, body))


def finish(record: IdempotencyRecord, response: Response) -> None:
    """Keep the answer of a success; let the key go after anything else."""
    if not 200 <= response.status_code < 300:
        record.delete()
        return
    answer = {"data": response.data, "location": response.headers.get("Location", "")}
    record.status = response.status_code
    record.answer_sealed = keyring().seal(dumps(answer), **_place(record))
    record.save(update_fields=["status", "answer_sealed"])


def _again(key: str, body: str) -> Response:
    record = IdempotencyRecord.objects.filter(key=key).first()
    if record is not None and record.body != body:
        raise Invalid(
            FieldProblem(
                "Idempotency-Key",
                "was used before with another body",
                "Send a new key with a new request.",
            )
        )
    if record is None or record.status == 0:
        raise Refused(
            "A request with this Idempotency-Key is still being answered.",
            remedy="Send it again in a few seconds.",
            type_="in-flight",
        )
    answer = orjson.loads(keyring().open(bytes(record.answer_sealed), **_place(record)))
    headers = {REPLAYED: "true"}
    if answer["location"]:
        headers["Location"] = answer["location"]
    return Response(answer["data"], status=record.status, headers=headers)


def _forget_old(key: str) -> None:
    now = timezone.now()
    IdempotencyRecord.objects.filter(key=key, status=0, created_at__lt=now - STUCK).delete()
    IdempotencyRecord.objects.filter(key=key, created_at__lt=now - KEPT).delete()
    old = IdempotencyRecord.objects.filter(created_at__lt=now - KEPT).order_by("created_at")
    IdempotencyRecord.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[:FORGET_AT_ONCE])
    ).delete()


def _key(request: Request, principal: Principal, text: str) -> str:
    scopes = "*" if principal.scopes is None else ",".join(sorted(principal.scopes))
    return _digest(
        "\x1f".join(
            [str(principal.user.pk), scopes, request.method or "", request.path, text]
        ).encode()
    )


def _canonical(request: Request) -> bytes:
    sent: Any = [
        request.META.get("QUERY_STRING", ""),
        request.headers.get("If-Match", ""),
        request.data,
    ]
    return orjson.dumps(sent, default=str, option=orjson.OPT_SORT_KEYS)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _place(record: IdempotencyRecord) -> dict[str, Any]:
    return {"table": record._meta.db_table, "pk": record.pk, "field": "answer"}
