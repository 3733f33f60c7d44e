"""What tests of several apps share: the people of the demo's story and how to act as them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from django.db import connections

from fleetportal.accounts.models import Membership, Team, User

T = TypeVar("T")

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class People:
    """Two teams and one account per persona; `outsider` is the engineer of the other team."""

    assist: Team
    risk: Team
    engineer: User
    approver: User
    viewer: User
    outsider: User
    operator: User
    admin: User
    auditor: User


def make_user(name: str, fleet_role: str = "", **teams: Team) -> User:
    """A user with PASSWORD. `teams` maps a team role to the team it is held in."""
    user = User.objects.create_user(name, password=PASSWORD, fleet_role=fleet_role)
    for role, team in teams.items():
        Membership.objects.create(user=user, team=team, role=role)
    return user


def make_people() -> People:
    assist = Team.objects.create(slug="assist", name="Assist")
    risk = Team.objects.create(slug="risk", name="Risk")
    approver = make_user("approver", approver=assist)
    Membership.objects.create(user=approver, team=risk, role="approver")
    return People(
        assist=assist,
        risk=risk,
        engineer=make_user("engineer", engineer=assist),
        approver=approver,
        viewer=make_user("viewer", viewer=assist),
        outsider=make_user("outsider", engineer=risk),
        operator=make_user("operator", "operator"),
        admin=make_user("admin", "admin"),
        auditor=make_user("auditor", "auditor"),
    )


def race(work: Callable[[int], T], runners: int = 2) -> list[T | Exception]:
    """Run `work(0..runners-1)` at once in threads with their own connections; results or errors."""
    barrier = threading.Barrier(runners)

    def run(number: int) -> T | Exception:
        barrier.wait(10)
        try:
            return work(number)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(runners) as pool:
        return list(pool.map(run, range(runners)))
