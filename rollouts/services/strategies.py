"""The strategies that ship, and reading one from its row."""

from __future__ import annotations

from typing import Any

import msgspec
from django.conf import settings

from fleetportal.kit.errors import FieldProblem, Invalid
from rollouts.engine.types import ApprovalMode, StageSpec, StrategySpec
from rollouts.models import Strategy
from workspaces.engine.types import Requirement

ENVIRONMENTS = ("test", "staging", "production")


def strategies_sync() -> int:
    """Write the shipped strategies; edited ones of other names stay. Their count."""
    for slug, name, description, spec in _shipped():
        Strategy.objects.update_or_create(
            slug=slug,
            defaults={
                "name": name,
                "description": description,
                "spec": msgspec.to_builtins(spec),
            },
        )
    return len(_shipped())


def strategy_get(slug: str) -> tuple[Strategy, StrategySpec]:
    """The named strategy. Raises Invalid."""
    row = Strategy.objects.filter(slug=slug).first()
    if row is None:
        known = ", ".join(Strategy.objects.values_list("slug", flat=True)) or "none yet"
        raise Invalid(FieldProblem("strategy", f"{slug!r} is not known", f"Use {known}."))
    return row, msgspec.convert(row.spec, StrategySpec)


def strategy_frozen(spec: StrategySpec) -> dict[str, Any]:
    """The copy that a rollout keeps."""
    frozen: dict[str, Any] = msgspec.to_builtins(spec)
    return frozen


def _environment(name: str) -> tuple[Requirement, ...]:
    return (Requirement("environment", "In", (name,)),)


def _shipped() -> tuple[tuple[str, str, str, StrategySpec], ...]:
    # The demo shows a soak in seconds instead of minutes and says so on the page.
    soak = settings.DEMO_SOAK_SECONDS if settings.DEMO else 300
    staged = StrategySpec(
        stages=tuple(
            StageSpec(
                name=name,
                selector=_environment(name),
                max_concurrency=2,
                soak_seconds=soak,
                approval=ApprovalMode.BEFORE if name == "production" else ApprovalMode.NONE,
            )
            for name in ENVIRONMENTS
        )
    )
    at_once = StrategySpec(stages=(StageSpec(name="all", max_concurrency=100),))
    return (
        (
            "staged",
            "Test, staging, production",
            f"One environment after the other, {soak} s of soak each, approval before production.",
            staged,
        ),
        ("all-at-once", "All at once", "Every cluster at the same time, without a gate.", at_once),
    )
