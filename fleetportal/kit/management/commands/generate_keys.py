"""`manage.py generate_keys`: fresh secrets, ready for an environment file."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from fleetportal.kit.crypto import generate_key


class Command(BaseCommand):
    help = "Print a SECRET_KEY and a key for FLEETPORTAL_KEYS. Nothing is stored."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--rotate",
            metavar="KEYS",
            help="the present FLEETPORTAL_KEYS: a fresh key seals, the old ones still open",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        fresh = generate_key(datetime.now(UTC).strftime("k%Y%m%d%H%M%S"))
        if options["rotate"]:
            self.stdout.write(f"FLEETPORTAL_KEYS={fresh},{options['rotate']}")
            return
        self.stdout.write(f"SECRET_KEY={secrets.token_urlsafe(48)}")
        self.stdout.write(f"FLEETPORTAL_KEYS={fresh}")
