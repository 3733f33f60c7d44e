"""`manage.py create_team SLUG NAME`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleetportal.accounts.services import team_create
from fleetportal.kit.errors import PortalError


class Command(BaseCommand):
    help = "Create a team. Its slug becomes part of namespace names on the clusters."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="lower-case letters, digits and hyphens; at most 30")
        parser.add_argument("name", help="as people read it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            team = team_create(slug=options["slug"], name=options["name"])
        except PortalError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"created the team {team.slug}")
