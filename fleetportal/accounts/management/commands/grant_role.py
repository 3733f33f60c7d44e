"""`manage.py grant_role USER ROLE [--team SLUG]`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleetportal.accounts.services import role_grant
from fleetportal.kit.errors import PortalError


class Command(BaseCommand):
    help = (
        "Grant viewer, engineer or approver in a team; or operator, admin or auditor in the fleet."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("role")
        parser.add_argument("--team", default="", help="the team's slug; none for a fleet role")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            role_grant(username=options["username"], role=options["role"], team=options["team"])
        except PortalError as error:
            raise CommandError(str(error)) from error
        place = f"in {options['team']}" if options["team"] else "over the fleet"
        self.stdout.write(f"{options['username']} is {options['role']} {place}")
