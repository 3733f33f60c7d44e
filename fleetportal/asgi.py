"""The ASGI entry point."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetportal.settings")

application = get_asgi_application()

from fleetportal.web.safety import ready_to_serve  # noqa: E402 - settings come first

ready_to_serve()
