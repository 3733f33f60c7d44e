"""The engine's requests to clusters: intent, call, record; the call is outside any transaction.

The intent is written first, so that whoever takes over after a crash knows that a request may have
gone out. The record is fenced: an answer that comes after the lease has moved on is dropped, and
the new holder finds out by itself, since every call is idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import singledispatch
from typing import Any

from django.utils import timezone

from clusters.gateway.errors import Conflict
from fleetportal.kit.errors import PortalError, Stale, Temporary
from rollouts.engine import actions as a
from rollouts.engine import types as t
from rollouts.models import Target
from rollouts.services.fence import fenced
from rollouts.services.snapshot import Loaded, digest_now
from workspaces.models import Workspace
from workspaces.services import delivery, removal, restore

IN_FLIGHT = timedelta(seconds=60)  # a lost holder's request may still arrive that long
LOOK_AFTER_GONE = timedelta(seconds=2)
TRY_AGAIN = 5.0  # seconds, where the error names no delay


@singledispatch
def perform(action: a.Effect, loaded: Loaded) -> None:
    """Carry out one effect. Raises Stale when the target is no longer as the engine saw it."""
    raise TypeError(f"no way to perform {type(action).__name__}")


@perform.register
def _(action: a.Preflight, loaded: Loaded) -> None:
    target = _row(action, loaded)
    _call(action, loaded, lambda: delivery.preflight(_new(target)), {"checked": True})


@perform.register
def _(action: a.Apply, loaded: Loaded) -> None:
    target = _intend(action, loaded)
    fence = loaded.rollout.lease_token
    _call(
        action,
        loaded,
        lambda: delivery.workspace_apply(_new(target), fence=fence, digest=action.digest),
        {"applied": True},
    )


@perform.register
def _(action: a.Smoke, loaded: Loaded) -> None:
    target = _row(action, loaded)
    new = action.of is t.Serving.NEW
    workspace = _new(target) if new else _restored(target)
    field = "verified" if new else "restore_verified"
    _call(action, loaded, lambda: delivery.smoke(workspace), {field: True})


@perform.register
def _(action: a.SwitchService, loaded: Loaded) -> None:
    target = _intend(action, loaded, serving=t.Serving.UNKNOWN.value)
    fence = loaded.rollout.lease_token
    _call(
        action,
        loaded,
        lambda: delivery.service_point(_new(target), fence=fence, digest=action.digest),
        {"serving": t.Serving.NEW.value},
        then=lambda: delivery.workspace_serves(_new(target)),
    )


@perform.register
def _(action: a.SwitchBack, loaded: Loaded) -> None:
    target = _intend(action, loaded, serving=t.Serving.UNKNOWN.value)
    workspace = _old(target) if action.to is t.Serving.OLD else _restored(target)
    fence, digest = loaded.rollout.lease_token, loaded.rollout.digest
    _call(
        action,
        loaded,
        lambda: _switch_back(workspace, _new(target), fence, digest),
        {"serving": action.to.value},
        then=lambda: delivery.workspace_serves(workspace),
    )


def _switch_back(workspace: Workspace, left: Workspace, fence: int, digest: str) -> None:
    """What is left may have requests to finish: without a look they would seem not to exist."""
    delivery.service_point(workspace, fence=fence, digest=digest)
    delivery.load_observe(left)


@perform.register
def _(action: a.DrainOld, loaded: Loaded) -> None:
    """Its load is observed before every step from now on (see loads)."""
    target = _row(action, loaded)
    delivery.load_observe(_old(target))
    with fenced(loaded.rollout):
        _update(action, phase=t.TargetPhase.DRAIN.value)


@perform.register
def _(action: a.RetireOld, loaded: Loaded) -> None:
    phase = (
        {}
        if _row(action, loaded).phase == t.TargetPhase.INTRODUCE
        else {"phase": t.TargetPhase.RETIRE.value}
    )
    target = _intend(action, loaded, old_retired=True, **phase)
    _retire(action, loaded, _old(target), f"Replaced by {loaded.rollout.revision}")


@perform.register
def _(action: a.DeleteNew, loaded: Loaded) -> None:
    target = _intend(action, loaded)
    _retire(action, loaded, _new(target), "Rolled back")


@perform.register
def _(action: a.DeleteRestored, loaded: Loaded) -> None:
    """Why it could not be brought back stays on the target."""
    target = _intend(action, loaded)
    kept = {"problem_kind": target.problem_kind, "message": target.message}
    _retire(action, loaded, _restored(target), "Could not be brought back", **kept)


@perform.register
def _(action: a.Reprovision, loaded: Loaded) -> None:
    target = _row(action, loaded)
    old = _old(target)
    fence, digest = loaded.rollout.lease_token, loaded.rollout.digest
    if target.restored is None or target.restored.state in ("retiring", "retired"):
        with fenced(loaded.rollout):
            target.restored = restore.workspace_copy(old)
            _update(action, restored=target.restored)
    copy = target.restored
    _intend(action, loaded)
    _call(
        action,
        loaded,
        lambda: delivery.workspace_apply(copy, fence=fence, digest=digest),
        {"capacity": True},
    )


def _retire(
    action: a.Effect, loaded: Loaded, workspace: Workspace, reason: str, **kept: str
) -> None:
    """Others carry the removal out: it is asked after again in a while, not in this step's loop."""
    later = {"not_before": timezone.now() + LOOK_AFTER_GONE, **kept}
    _call(action, loaded, lambda: removal.workspace_retire(workspace, reason=reason), later)


def _row(action: a.Effect, loaded: Loaded) -> Target:
    return loaded.targets[action.target]


def _new(target: Target) -> Workspace:
    return _there(target.new)


def _old(target: Target) -> Workspace:
    return _there(target.old)


def _restored(target: Target) -> Workspace:
    return _there(target.restored)


def _there(workspace: Workspace | None) -> Workspace:
    if workspace is None:
        raise Stale("This target has no such workspace.")
    return workspace


def _intend(action: a.Effect, loaded: Loaded, **fields: Any) -> Target:
    """Write down that a request is about to go out, for exactly what was approved."""
    target = _row(action, loaded)
    until = timezone.now() + IN_FLIGHT
    earlier = target.in_flight_until
    with fenced(loaded.rollout, as_seen=True):
        _as_approved(action, loaded)
        _update(action, mutated=True, in_flight_until=max(until, earlier or until), **fields)
    return target


def _as_approved(action: a.Effect, loaded: Loaded) -> None:
    """The inputs may have changed since the snapshot was taken."""
    digest = getattr(action, "digest", None)
    rollout = loaded.rollout
    if digest is None:
        return
    targets = rollout.targets.select_related("cluster", "stage")
    if digest != digest_now(rollout, loaded.snapshot.strategy, targets):
        raise Stale("What was approved has changed.")


def _call(
    action: a.Effect,
    loaded: Loaded,
    call: Callable[[], object],
    success: Mapping[str, object],
    *,
    then: Callable[[], object] | None = None,
) -> None:
    """Call, then record what came of it, `then` among it. Only errors that we know are answers."""
    try:
        call()
    except Stale:
        raise
    except PortalError as error:
        outcome, failed = _problem(error), True
    else:
        outcome = {"problem_kind": "", "message": "", "not_before": None, **success}
        failed = False
    # The answer ends this request; one that an earlier holder lost may still be on its way.
    with fenced(loaded.rollout):
        _update(action, in_flight_until=_row(action, loaded).in_flight_until, **outcome)
        if then is not None and not failed:
            then()


def _problem(error: PortalError) -> dict[str, Any]:
    """What a failure means for the target: wait and try again, or stop and say why."""
    kind = t.ProblemKind.REFUSED
    not_before = None
    if isinstance(error, Temporary):
        kind = t.ProblemKind.TEMPORARY
        not_before = timezone.now() + timedelta(seconds=error.delay or TRY_AGAIN)
    elif isinstance(error, Conflict):
        kind = t.ProblemKind.CONFLICT
    return {"problem_kind": kind.value, "message": str(error), "not_before": not_before}


def _update(action: a.Effect, **fields: Any) -> None:
    rows = Target.objects.filter(
        pk=action.target, state=action.expect.value, attempt=action.attempt
    )
    if rows.update(**fields) != 1:
        raise Stale("The target has moved on.")
