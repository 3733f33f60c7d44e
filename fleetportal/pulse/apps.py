from django.apps import AppConfig


class PulseConfig(AppConfig):
    name = "fleetportal.pulse"
    label = "pulse"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from fleetportal.pulse import ticker

        # When the broker is down nobody beats: that is what the missing heartbeat has to show.
        ticker.register("pulse.beat", lambda now, limit: ["worker"], lambda pk: None)
