"""The evidence of one decision: what changes, what it costs, and what earlier stages measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetportal.kit.format import num
from rollouts.models import Approval, Rollout, Target
from rollouts.selectors.board import targets_of
from workspaces.models import Revision, Workspace

MEASURED = "peak_tokens_per_minute"
NOTHING = "nothing"
WORDS = {"replicas": "replicas in all stages"}  # read beside the numbers of one stage
Change = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """KAITO's benchmark on one cluster, against the revision that served there. Tokens a minute."""

    cluster: str
    stage: str
    state: str
    now: float | None
    before: float | None
    change: float | None  # ratio: -0.31 is 31 % less


@dataclass(frozen=True, slots=True)
class Evidence:
    """`cost`: $/h more (or less) once the stage has passed and its old workspaces are gone; None
    where a price is unknown."""

    changes: list[Change]
    clusters: list[str]
    replicas: int
    instance_types: list[str]
    cost: float | None
    benchmarks: list[Benchmark]


def evidence_of(approval: Approval) -> Evidence:
    stage = approval.gate.stage
    targets = targets_of(approval.rollout)
    here = [target for target in targets if target.stage_id == stage.pk]
    done = approval.gate.kind == "approval_after"
    earlier = [
        one
        for one in targets
        if one.stage.index < stage.index or (done and one.stage_id == stage.pk)
    ]
    made = [target.new for target in here if target.new]
    return Evidence(
        changes=changes_of(approval.rollout),
        clusters=[target.cluster.name for target in here],
        replicas=sum(one.replicas for one in made),
        instance_types=sorted({one.instance_type for one in made if one.instance_type}),
        cost=cost_of(here),
        benchmarks=[_benchmark(target) for target in earlier],
    )


def cost_of(targets: Iterable[Target]) -> float | None:
    """$/h of the new workspaces less that of the ones they replace; None where one is unknown."""
    total = 0.0
    for target in targets:
        for workspace, sign in ((target.new, 1), (target.old, -1)):
            if workspace is None:
                continue
            if workspace.price_per_hour is None:
                return None
            total += sign * workspace.price_per_hour
    return total


def changes_of(rollout: Rollout) -> list[Change]:
    """(field, before, after) of the revision; everything where there was none before."""
    old, new = rollout.previous, rollout.revision
    before, after = _fields(old) if old else {}, _fields(new)
    return [
        (key, before.get(key, NOTHING), after.get(key, NOTHING))
        for key in dict.fromkeys([*after, *before])
        if before.get(key) != after.get(key)
    ]


def _fields(revision: Revision) -> dict[str, str]:
    spec: Mapping[str, Any] = revision.spec
    length = spec.get("max_model_len")
    fields = {
        "model": revision.model_id,
        "runtime": str(spec.get("runtime", "")),
        "replicas": str(spec.get("replicas", "")),
        "context": f"{num(length)} tokens" if length else "KAITO's default",
        "strategy": str(spec.get("strategy", "")),
    }
    return fields | _flat(spec.get("policy") or {}, "policy")


def in_words(changes: Iterable[Change]) -> list[Change]:
    """ "policy.placement_type" -> "placement type", for people."""
    return [
        (
            WORDS.get(field) or field.removeprefix("policy.").replace("_", " ").replace(".", " "),
            before,
            after,
        )
        for field, before, after in changes
    ]


def _flat(value: object, path: str) -> dict[str, str]:
    """Nested values as dotted paths: "policy.spread[0].topology_key" -> "environment"."""
    if isinstance(value, Mapping):
        parts = [_flat(item, f"{path}.{key}") for key, item in value.items()]
    elif isinstance(value, str) or not isinstance(value, Sequence):
        return {path: str(value)}
    elif all(isinstance(item, str) for item in value):
        return {path: ", ".join(value)}
    else:
        parts = [_flat(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return {key: text for part in parts for key, text in part.items()}


def _benchmark(target: Target) -> Benchmark:
    now, before = _measured(target.new), _measured(target.old)
    return Benchmark(
        cluster=target.cluster.name,
        stage=target.stage.name,
        state=target.state,
        now=now,
        before=before,
        change=(now - before) / before if now is not None and before else None,
    )


def _measured(workspace: Workspace | None) -> float | None:
    value = workspace.benchmark.get(MEASURED) if workspace else None
    return float(value) if isinstance(value, int | float) else None
