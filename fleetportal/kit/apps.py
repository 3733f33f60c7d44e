from django.apps import AppConfig


class KitConfig(AppConfig):
    name = "fleetportal.kit"
    label = "kit"
