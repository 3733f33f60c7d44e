"""Answers kept for a day, so that a write sent twice happens once."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class IdempotencyRecord(models.Model):
    """One `Idempotency-Key` of one principal on one path. `status` 0: the first call still runs.

    The answer is sealed like any secret: it may hold a token that is shown once.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    key = models.CharField(max_length=64, unique=True)  # digest of principal, method, path, key
    body = models.CharField(max_length=64)  # digest of what was sent
    status = models.PositiveSmallIntegerField(default=0)
    answer_sealed = models.BinaryField(default=b"")
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="idempotency_created")]  # forget_old

    def __str__(self) -> str:
        return f"{self.key[:8]} {self.status}"
