from __future__ import annotations

from django.apps import AppConfig


class LiveConfig(AppConfig):
    name = "fleetportal.live"
    label = "live"

    def ready(self) -> None:
        from fleetportal.kit import meters
        from fleetportal.live.hub import hub

        meters.describe(
            "fleetportal_live_streams",
            "Pages that listen to this process.",
            gauge=lambda: float(len(hub.clients)),
        )
