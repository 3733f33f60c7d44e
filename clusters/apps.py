from __future__ import annotations

from django.apps import AppConfig


class ClustersConfig(AppConfig):
    name = "clusters"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from clusters.models import Cluster
        from clusters.selectors.events import of_hidden_clusters
        from clusters.services import probing
        from clusters.services.checks import answers_checks
        from fleetportal.journal.models import hidden
        from fleetportal.live.audience import by_rows, hears

        hidden.append(of_hidden_clusters)
        answers_checks(probing.TASK, probing.connection_answer)
        for kind in ("cluster", "heat"):
            hears(kind, by_rows(Cluster.objects.visible_to))
