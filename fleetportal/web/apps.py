from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "fleetportal.web"
    label = "web"

    def ready(self) -> None:
        from fleetportal.web import safety, sessions  # noqa: F401 - a check and a signal receiver
