from django.apps import AppConfig


class JournalConfig(AppConfig):
    name = "fleetportal.journal"
    label = "journal"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from fleetportal.journal.services import record_change
        from fleetportal.kit.states import record_with

        record_with(record_change)
