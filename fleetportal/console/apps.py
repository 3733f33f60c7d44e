from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "fleetportal.console"
    label = "console"

    def ready(self) -> None:
        from clusters.selectors import workloads as shown
        from fleetportal.console.selectors import workloads

        shown.told_by(workloads.workloads)
