"""What people type on the model's page, as values for plan_create. Only reading: services judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleetportal.accounts.models import Team
from fleetportal.kit.format import num
from workspaces.engine.types import DEFAULT_MAX_MODEL_LEN

REPLICAS = 3
SPREADS = (
    ("environment", "over environment"),
    ("region", "over region"),
    ("none", "not at all"),
)


@dataclass(slots=True)
class Rail:
    """The rail of the model's page. `errors`: field -> words; the texts stay as they were typed."""

    team: Team | None
    name: str
    replicas_text: str
    context_text: str
    spread: str
    strategy: str
    runtime: str
    errors: dict[str, str] = field(default_factory=dict)
    replicas: int = REPLICAS
    max_model_len: int = DEFAULT_MAX_MODEL_LEN

    @property
    def policy(self) -> dict[str, Any]:
        """Empty: the default, which spreads softly over environment."""
        if self.spread == "environment":
            return {}
        if self.spread == "none":
            return {"spread": []}
        return {"spread": [{"topology_key": self.spread, "max_skew": 1}]}

    @property
    def chosen(self) -> dict[str, Any]:
        """Keyword arguments of plan_create, but for principal, team and model."""
        return {
            "name": self.name,
            "replicas": self.replicas,
            "max_model_len": self.max_model_len,
            "runtime": self.runtime,
            "strategy": self.strategy,
            "policy": self.policy,
        }


def read_rail(data: Mapping[str, str], teams: Sequence[Team], context_limit: int) -> Rail:
    """Read the rail; what is missing takes the default, what is wrong is noted in `errors`."""
    usual = min(DEFAULT_MAX_MODEL_LEN, context_limit)
    rail = Rail(
        team=_team(data.get("team", ""), teams),
        name=data.get("name", "").strip(),
        replicas_text=data.get("replicas", str(REPLICAS)),
        context_text=data.get("max_model_len", num(usual)),
        spread=data.get("spread", "environment"),
        strategy=data.get("strategy", "staged"),
        runtime=data.get("runtime", "vllm"),
    )
    if data.get("team") and (rail.team is None or rail.team.slug != data["team"]):
        rail.errors["team"] = "Choose one of the list."
    rail.replicas = _whole(rail, "replicas", rail.replicas_text, REPLICAS, 1000)
    rail.max_model_len = _whole(rail, "max_model_len", rail.context_text, usual, context_limit)
    if rail.spread not in dict(SPREADS):
        rail.errors["spread"] = "Choose one of the list."
        rail.spread = "environment"
    return rail


def _team(slug: str, teams: Sequence[Team]) -> Team | None:
    return next((team for team in teams if team.slug == slug), teams[0] if teams else None)


def _whole(rail: Rail, name: str, text: str, usual: int, most: int) -> int:
    """A whole number as people write it ("131,072")."""
    digits = text.strip().replace(",", "").replace(" ", "")
    if digits.isascii() and digits.isdigit() and len(digits) < 10 and 1 <= int(digits) <= most:
        return int(digits)
    rail.errors[name] = f"A whole number from 1 to {most:,}."
    return usual
