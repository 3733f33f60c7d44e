"""`manage.py create_user NAME`: a person without a role; grant_role gives them one."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleetportal.accounts.services import user_create
from fleetportal.env import env_secret
from fleetportal.kit.errors import PortalError


class Command(BaseCommand):
    help = (
        "Create a user; the password comes from USER_PASSWORD (or USER_PASSWORD_FILE), else asked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        password = env_secret("USER_PASSWORD")
        if password is None and sys.stdin.isatty():
            password = getpass.getpass()
        if not password:
            raise CommandError(
                "Set USER_PASSWORD or USER_PASSWORD_FILE, or run this in a terminal."
            )
        try:
            user_create(username=options["username"], password=password)
        except PortalError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"created {options['username']}; give a role with grant_role")
