"""Which events of the journal tell of clusters that a principal may not see."""

from __future__ import annotations

from django.db.models import Q

from clusters.models import Cluster
from fleetportal.accounts.principal import Principal


def of_hidden_clusters(principal: Principal) -> Q:
    """The events of clusters that are granted to other teams only. One query, for few rows."""
    seen = Cluster.objects.visible_to(principal).order_by().values("pk")
    unseen = Cluster.objects.exclude(pk__in=seen).order_by().values_list("pk", flat=True)
    return Q(object_type="cluster", object_id__in=[str(pk) for pk in unseen])
