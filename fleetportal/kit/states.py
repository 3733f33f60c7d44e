"""State machines as tables, and the only function that changes a state.

A machine lists its states with the words people read, their tone, and the allowed moves. From it
come model choices, CHECK constraints, chips, docs/states.md and the test that every other move is
refused. `move` is a compare-and-swap and one journal row in one transaction; nothing else may
write a `state` column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleetportal.kit import news
from fleetportal.kit.errors import Refused, Stale

if TYPE_CHECKING:
    from django.db.models import CheckConstraint, Model

TONES = ("ok", "run", "wait", "bad", "idle", "unknown")


@dataclass(frozen=True, slots=True)
class State:
    """`label`: the words on screen. `tone`: one of TONES. `terminal`: nothing leaves it."""

    label: str
    tone: str
    terminal: bool = False


class Machine:
    """A named table of states and moves.

    Raises ValueError at import for a move between unknown states, out of a terminal state, or a
    tone that no style exists for.
    """

    def __init__(
        self, name: str, states: Mapping[str, State], moves: Iterable[tuple[str, str]]
    ) -> None:
        self.name = name
        self.states = dict(states)
        self.moves = frozenset(moves)
        for source, target in self.moves:
            if source not in self.states or target not in self.states:
                raise ValueError(f"{name}: move {source} -> {target} names an unknown state")
            if self.states[source].terminal:
                raise ValueError(f"{name}: {source} is terminal")
        for key, state in self.states.items():
            if state.tone not in TONES:
                raise ValueError(f"{name}.{key}: unknown tone {state.tone}")

    def allows(self, source: str, target: str) -> bool:
        return (source, target) in self.moves

    @property
    def choices(self) -> list[tuple[str, str]]:
        return [(key, state.label) for key, state in self.states.items()]

    @property
    def terminal(self) -> frozenset[str]:
        return frozenset(key for key, state in self.states.items() if state.terminal)

    @property
    def active(self) -> frozenset[str]:
        return frozenset(self.states) - self.terminal

    def constraint(self, name: str, field: str = "state") -> CheckConstraint:
        """The CHECK that keeps any other word out of the column."""
        from django.db.models import CheckConstraint, Q

        return CheckConstraint(condition=Q(**{f"{field}__in": sorted(self.states)}), name=name)


Recorder = Callable[["Change"], None]


@dataclass(frozen=True, slots=True)
class Change:
    """What the journal is told of one move."""

    obj: Any
    machine: Machine
    source: str
    target: str
    actor: Any  # fleetportal.accounts principal, or None for the portal itself
    action: str
    reason: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


_recorder: list[Recorder] = []


def record_with(recorder: Recorder) -> None:
    """Name the function that writes journal rows. The journal app calls this once at start-up."""
    _recorder[:] = [recorder]


def move(
    obj: Model,
    to: str,
    *,
    machine: Machine,
    actor: Any = None,
    reason: str = "",
    action: str = "",
    expect: Mapping[str, Any] | None = None,
    also: Mapping[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Move `obj` from the state it was read in to `to`, with `fields` in the same UPDATE.

    `also` holds further columns that the journal need not repeat (observations).

    `expect` adds columns that must still hold their value (a fencing token, a digest). The row's
    `version`, where the model has one, counts up. Raises Refused for a move that is not in the
    table and Stale when the row has changed since it was read; in both cases nothing is written.
    """
    from django.db import transaction
    from django.db.models import F

    source: str = obj.state  # type: ignore[attr-defined]
    if not machine.allows(source, to):
        label = machine.states[source].label if source in machine.states else source
        raise Refused(
            f"{machine.name} is {label!r}: it cannot become {machine.states[to].label!r}."
        )
    before = {"state": source, **{key: getattr(obj, key) for key in fields}}
    after = {"state": to, **fields}
    writes: dict[str, Any] = {**after, **(also or {})}
    has_version = any(field.name == "version" for field in obj._meta.concrete_fields)
    if has_version:
        writes["version"] = F("version") + 1
    with transaction.atomic():
        rows = type(obj)._base_manager.filter(pk=obj.pk, state=source, **(expect or {}))
        if rows.update(**writes) != 1:
            raise Stale(
                f"This {machine.name} has changed meanwhile.", remedy="Reload and look again."
            )
        for recorder in _recorder:
            recorder(Change(obj, machine, source, to, actor, action or to, reason, before, after))
        news.changed_row(obj)
    for key, value in {**after, **(also or {})}.items():
        setattr(obj, key, value)
    if has_version:
        obj.version += 1  # type: ignore[attr-defined]
