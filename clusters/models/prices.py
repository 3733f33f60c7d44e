"""Prices of nodes that an administrator gave; those shipped with the product are in data/."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class PriceEntry(models.Model):
    """One price from `created_at` on, until a newer row for the same key: rows are never changed.

    `usd_per_hour` None takes an earlier price of the same key back.
    """

    provider = models.CharField(max_length=20)
    region = models.CharField(max_length=60, blank=True)  # "": every region without its own price
    instance_type = models.CharField(max_length=80)
    capacity_type = models.CharField(max_length=12, default="on-demand")
    usd_per_hour = models.FloatField(null=True, blank=True)  # of one node
    source = models.CharField(max_length=200)
    as_of = models.DateField(null=True, blank=True)  # when the source said so
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        ordering = ["provider", "instance_type", "region", "capacity_type", "-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(usd_per_hour__isnull=True) | Q(usd_per_hour__gte=0),
                name="price_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(capacity_type__in=["on-demand", "spot", "reserved"]),
                name="price_capacity_type",
            ),
        ]
        indexes = [
            models.Index(fields=["provider", "instance_type", "-created_at"], name="price_lookup")
        ]

    def __str__(self) -> str:
        parts = (self.provider, self.region, self.instance_type)
        return " ".join(part for part in parts if part)
