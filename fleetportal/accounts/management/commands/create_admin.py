"""`manage.py create_admin`: the first account. There is no default one."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleetportal.accounts.models import User
from fleetportal.accounts.services import user_create
from fleetportal.env import env_secret, env_str
from fleetportal.kit.errors import PortalError


class Command(BaseCommand):
    help = (
        "Create an admin, from ADMIN_USERNAME and ADMIN_PASSWORD (or ADMIN_PASSWORD_FILE), else by "
        "asking. Does nothing when that user exists."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        username = env_str("ADMIN_USERNAME") or self._ask("User name: ")
        if User.objects.filter(username=username).exists():
            self.stdout.write(f"{username} exists; nothing was changed")
            return
        password = env_secret("ADMIN_PASSWORD") or self._ask_password()
        try:
            user_create(username=username, password=password, fleet_role="admin")
        except PortalError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"created the admin {username}")

    def _ask(self, prompt: str) -> str:
        if not sys.stdin.isatty():
            raise CommandError("Set ADMIN_USERNAME and ADMIN_PASSWORD, or run this in a terminal.")
        return input(prompt).strip()

    def _ask_password(self) -> str:
        if not sys.stdin.isatty():
            raise CommandError("Set ADMIN_PASSWORD or ADMIN_PASSWORD_FILE.")
        first, second = getpass.getpass(), getpass.getpass("Password again: ")
        if first != second:
            raise CommandError("The two passwords differ.")
        return first
