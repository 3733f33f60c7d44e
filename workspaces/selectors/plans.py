"""A plan as people read it: verdicts in order, what changed since the last one, the manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import yaml
from django.urls import reverse

from clusters.models import Check, Cluster
from fleetportal.accounts.principal import Principal
from fleetportal.kit import format as words
from workspaces.engine.explain import by_stage
from workspaces.engine.manifests import render
from workspaces.engine.types import FilterResult, Verdict
from workspaces.models import Plan, Workspace
from workspaces.selectors import verdicts

DRY_RUN = "workspaces.dry_run"
TONES = {"verified": "ok", "partly verified": "wait", "unverifiable": "unknown", "refused": "bad"}
_ORDER = {"selected": 0, "spare": 1, "rejected": 2}
RECENT = 30  # start-ups that "Ready in about" is taken from

Changes = list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class DryRunLine:
    """One object of one cluster, as a dry-run left it."""

    kind: str
    name: str
    verdict: str
    tone: str
    why: str


def plan_for(principal: Principal, pk: UUID | str) -> Plan | None:
    return (
        Plan.objects.visible_to(principal)
        .select_related("team", "model", "deployment", "previous", "created_by")
        .filter(pk=pk)
        .first()
    )


def verdicts_of(plan: Plan) -> list[Verdict]:
    """Selected ones in the order of stages, then spare, then rejected; filters named in words."""
    environments = dict(Cluster.objects.values_list("name", "environment"))
    return sorted(
        _in_words(verdicts.verdicts_of(plan)),
        key=lambda v: (_ORDER[v.verdict], by_stage(environments.get(v.cluster, ""), v.cluster)),
    )


def _in_words(frozen: Sequence[Verdict]) -> Iterable[Verdict]:
    """Most verdicts share their filter results: each is renamed once."""
    named: dict[int, FilterResult] = {}
    for verdict in frozen:
        for one in verdict.filters:
            if id(one) not in named:
                named[id(one)] = replace(one, name=one.name.replace("_", " "))
        yield replace(verdict, filters=tuple(named[id(one)] for one in verdict.filters))


def manifests_of(plan: Plan) -> list[tuple[str, str]]:
    """(cluster, YAML of its objects in apply order)."""
    stored = plan.manifests or {}
    patches: dict[str, Any] = stored.get("patches", {})
    return [(name, to_yaml(render(stored["base"], patches[name]))) for name in sorted(patches)]


def to_yaml(objects: Sequence[Any]) -> str:
    text: str = yaml.safe_dump_all(objects, sort_keys=False, default_flow_style=False, width=100)
    return text


def changes(plan: Plan) -> Changes:
    """What differs from the plan that this one repeats: (what, before, after)."""
    before = plan.previous
    if before is None or plan.state == "computing":
        return []
    rows = [
        ("price", words.money(before.price_per_hour), words.money(plan.price_per_hour)),
        *((name, old, new) for name, old, new in _verdict_pairs(before, plan)),
    ]
    return [row for row in rows if row[1] != row[2]]


def _verdict_pairs(before: Plan, after: Plan) -> Changes:
    old = {one.cluster: _short(one) for one in verdicts.verdicts_of(before)}
    new = {one.cluster: _short(one) for one in verdicts.verdicts_of(after)}
    names = sorted({*old, *new})
    return [(name, old.get(name, "not there"), new.get(name, "gone")) for name in names]


def _short(verdict: Verdict) -> str:
    if verdict.verdict == "selected":
        count = verdict.replicas
        return f"selected, {count} replica{'' if count == 1 else 's'}"
    if verdict.verdict == "rejected":
        return f"rejected: {verdict.reason}"
    return verdict.verdict


def rail_url(*, model: str, team: str, name: str, spec: Mapping[str, Any]) -> str:
    """The model's page with the rail filled as this spec was asked."""
    spread = spec["policy"].get("spread")
    asked = {
        "team": team,
        "name": name,
        "replicas": spec["replicas"],
        "max_model_len": spec["max_model_len"] or "",
        "spread": "environment" if spread is None else _spread(spread),
        "strategy": spec["strategy"],
        "runtime": spec["runtime"],
    }
    query = urlencode({key: value for key, value in asked.items() if value != ""})
    return f"{reverse('model', args=[model])}?{query}"


def _spread(constraints: Sequence[Mapping[str, Any]]) -> str:
    return str(constraints[0]["topology_key"]) if constraints else "none"


def ready_words(plan: Plan, found: Sequence[Verdict]) -> str:
    """ "Ready in about 2 min plus soaks and approval.", from recent starts of the model, else of
    any model, and it says so. Empty while there are none."""
    own = recent_startup_seconds(plan.model_id)
    each = own if own is not None else recent_startup_seconds()
    names = [v.cluster for v in found if v.verdict == "selected"]
    if each is None or not names:
        return ""
    staged = plan.spec.get("strategy") == "staged"
    rows = Cluster.objects.managed().filter(name__in=names).values_list("environment", flat=True)
    stages = set(rows)
    total = words.duration(each * (len(stages) if staged else 1))
    approval = " and approval" if staged and "production" in stages else ""
    waits = f" plus soaks{approval}" if staged else ""
    basis = "" if own is not None else ", going by starts of other models"
    return f"Ready in about {total}{waits}{basis}."


def recent_startup_seconds(model: str = "") -> float | None:
    """Median seconds from the first phase to ready over recent workspaces, of one model or of any;
    None: none is known."""
    rows = Workspace.objects.filter(phases__has_key="ready").order_by("-created_at")
    rows = rows.filter(revision__model=model) if model else rows
    spans = [_span(phases) for phases in rows.values_list("phases", flat=True)[:RECENT]]
    known = [span for span in spans if span is not None]
    return median(known) if known else None


def _span(phases: dict[str, str]) -> float | None:
    moments = sorted(datetime.fromisoformat(moment) for moment in phases.values())
    ready = datetime.fromisoformat(phases["ready"])
    seconds = (ready - moments[0]).total_seconds()
    return seconds if seconds > 0 else None


def dry_run_of(plan: Plan) -> Check | None:
    """The newest dry-run of the plan."""
    return Check.objects.filter(kind=DRY_RUN, subject_id=str(plan.pk)).first()


def dry_run_lines(check: Check | None) -> list[tuple[str, list[DryRunLine]]]:
    """(cluster, its objects) of a finished dry-run."""
    found: dict[str, list[dict[str, str]]] = check.result.get("clusters", {}) if check else {}
    return [(name, [_line(raw) for raw in lines]) for name, lines in sorted(found.items())]


def _line(raw: dict[str, str]) -> DryRunLine:
    verdict = raw["verdict"]
    return DryRunLine(raw["kind"], raw["name"], verdict, TONES.get(verdict, "unknown"), raw["why"])
