"""The ASGI entry point: the stream of live pages, and Django behind it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetportal.settings")

django = get_asgi_application()

from fleetportal.live.server import share_the_interpreter  # noqa: E402 - settings come first
from fleetportal.live.shortcut import with_shortcut  # noqa: E402
from fleetportal.live.stream import with_streams  # noqa: E402
from fleetportal.live.threads import in_threads  # noqa: E402
from fleetportal.web.safety import ready_to_serve  # noqa: E402

ready_to_serve()
share_the_interpreter()
application = with_streams(with_shortcut(in_threads(django)))
