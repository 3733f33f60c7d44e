from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "fleetportal.console"
    label = "console"
