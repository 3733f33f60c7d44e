from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "fleetportal.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from fleetportal.accounts import checks  # noqa: F401 - registers the system check
