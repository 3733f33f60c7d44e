"""Leases and heartbeats: who may act on a row now, and which processes are alive."""

from __future__ import annotations

from django.db import models


class Lease(models.Model):
    """A named right that one process holds for a while. `token` counts up at every take-over."""

    name = models.CharField(max_length=80, primary_key=True)
    holder = models.CharField(max_length=120, blank=True)
    token = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """Last sign of life of a process. A worker's is written only by a task from the broker."""

    kind = models.CharField(max_length=20)  # worker | ticker | collector
    name = models.CharField(max_length=120)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="heartbeat_process")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Leased(models.Model):
    """Columns of a row that one process at a time works on.

    `lease_token` is the fencing token: it goes into every write that the holder makes, so that a
    holder whose lease ran out changes nothing.
    """

    lease_holder = models.CharField(max_length=120, blank=True, default="")
    lease_token = models.BigIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
