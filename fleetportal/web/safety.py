"""What must be set before a process serves anything.

`manage.py check`, migrations and type checks work without; web, worker and collector do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from fleetportal.env import BadEnvironment
from fleetportal.kit.crypto import Keyring

SHORTEST_SECRET = 40
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def unsafe_settings() -> Iterator[tuple[str, str]]:
    """(what is wrong, remedy) of everything that makes serving unsafe."""
    generate = "Run manage.py generate_keys and put its lines into the environment."
    if settings.SECRET_KEY == settings.UNSAFE_KEY:
        yield "SECRET_KEY is not set", generate
    elif len(settings.SECRET_KEY) < SHORTEST_SECRET:
        yield f"SECRET_KEY is shorter than {SHORTEST_SECRET} characters", generate
    try:
        Keyring.parse(settings.FLEETPORTAL_KEYS)
    except ValueError as error:
        yield f"FLEETPORTAL_KEYS: {error}", generate
    broker = urlsplit(settings.CELERY_BROKER_URL)
    if broker.hostname and broker.hostname not in LOOPBACK and not broker.password:
        yield (
            "REDIS_URL names another machine and has no password",
            "Set requirepass on the server and use redis://:password@host:6379/0.",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS lets any host name through", "Name the hosts that people type."


def ready_to_serve() -> None:
    """Stop the process with every reason at once. Raises BadEnvironment."""
    wrong = [f"{what}. {remedy}" for what, remedy in unsafe_settings()]
    if wrong and not settings.TESTING:
        raise BadEnvironment("\n".join(wrong))


@register(Tags.security, deploy=True)
def check_deploy(**_: Any) -> list[CheckMessage]:
    return [Error(what, hint=hint, id="web.E001") for what, hint in unsafe_settings()]
