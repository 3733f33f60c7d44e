"""How the demo's people act: parts of a story that wait for each other's results, one loop.

A part is a generator that yields conditions and goes on once the last one holds. A part that is
refused is logged and given up; the others go on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from fleetportal.accounts.models import Team, User
from fleetportal.accounts.principal import Principal
from fleetportal.kit.errors import PortalError, Refused
from rollouts.models import Approval, Rollout
from rollouts.services.approvals import vote_cast
from rollouts.services.start import rollout_start
from workspaces.services.plans import plan_create
from workspaces.states import PLAN

log = logging.getLogger(__name__)

T = TypeVar("T")
Condition = Callable[[], bool]
Acting = Generator[Condition, None, T]
Part = Acting[None]

PAUSE = 0.3  # seconds between two looks
LONGEST = 600.0  # seconds until what is left is given up


@dataclass(frozen=True)
class Wish:
    """A deployment to ask for. `clusters` are named, so that parts do not take each other's."""

    team: str
    by: str
    name: str
    model: str
    clusters: tuple[str, ...]
    replicas: int = 1
    context: int = 4096
    strategy: str = "all-at-once"


def started(wish: Wish) -> Acting[Rollout]:
    """Plan and start it as `wish.by` would. Raises PortalError where that is refused."""
    principal = who(wish.by)
    plan = plan_create(
        principal=principal,
        team=team(wish.team),
        name=wish.name,
        model=wish.model,
        replicas=wish.replicas,
        max_model_len=wish.context,
        strategy=wish.strategy,
        policy={"placement_type": "PickFixed", "cluster_names": list(wish.clusters)},
    )

    def computed() -> bool:
        plan.refresh_from_db()
        return plan.state != "computing"

    yield computed
    if plan.state != "ready":
        raise Refused(f"{PLAN.states[plan.state].label}: {plan.blocked_reason}")
    return rollout_start(principal=principal, plan=plan, digest=plan.digest)


def decided(rollout: Rollout, decision: str, comment: str) -> Acting[None]:
    """The approver's answer, once somebody asks for it."""
    yield asked(rollout)
    approval = Approval.objects.get(rollout=rollout, state="waiting")
    vote_cast(
        principal=who("approver"),
        approval=approval,
        decision=decision,
        digest=approval.digest,
        comment=comment,
    )


def reached(rollout: Rollout, *states: str) -> Condition:
    return lambda: Rollout.objects.filter(pk=rollout.pk, state__in=states).exists()


def asked(rollout: Rollout) -> Condition:
    return lambda: Approval.objects.filter(rollout=rollout, state="waiting").exists()


def who(username: str) -> Principal:
    return Principal(User.objects.get(username=username), via="command")


def team(slug: str) -> Team:
    return Team.objects.get(slug=slug)


def drive(parts: dict[str, Part]) -> None:
    """Until every part has ended or time is up. Logs a line for each step and each end."""
    deadline = time.monotonic() + LONGEST
    waiting: dict[str, Condition] = dict.fromkeys(parts, _now)
    while waiting and time.monotonic() < deadline:
        for name, condition in list(waiting.items()):
            if not condition():
                continue
            del waiting[name]
            following = _step(name, parts[name])
            if following is not None:
                waiting[name] = following
        time.sleep(PAUSE)
    for name in waiting:
        log.warning("story.given_up", extra={"part": name})


def _step(name: str, part: Part) -> Condition | None:
    """What the part waits for next; None when it has ended, well or not."""
    try:
        following = next(part)
    except StopIteration:
        log.info("story.done", extra={"part": name})
    except (PortalError, OSError) as error:
        log.warning("story.refused", extra={"part": name, "why": str(error)})
    except Exception:
        log.exception("story.failed", extra={"part": name})
    else:
        log.info("story.step", extra={"part": name})
        return following
    return None


def _now() -> bool:
    return True
