"""The filters that look at a cluster as a whole, in their fixed order.

Each answers with (passed, value, limit, reason): passed None means "not evaluated" and lets the
cluster through with the reason shown. All are evaluated even after one failed: they are cheap, and
people want to know everything that is in the way. Filters of pools: `kernel` and `pool_filters`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clusters.engine.types import ClusterFacts, ProvisionerMode
from workspaces.engine.affinity import (
    any_term_matches,
    taint_in_words,
    terms_in_words,
    tolerates,
)
from workspaces.engine.types import Demand, Situation

Finding = tuple[bool | None, str, str, str]  # passed, value, limit, reason

PLACEABLE = frozenset({"ready", "degraded"})


@dataclass(frozen=True, slots=True)
class Context:
    """What the cluster filters need besides the cluster; the words are made once per demand."""

    demand: Demand
    situation: Situation
    names: frozenset[str]  # of PickFixed; empty otherwise
    required: str
    regions: str

    @classmethod
    def of(cls, demand: Demand, situation: Situation) -> Context:
        policy = demand.policy
        return cls(
            demand=demand,
            situation=situation,
            names=frozenset(policy.cluster_names if policy.placement_type == "PickFixed" else ()),
            required=terms_in_words(policy.required),
            regions=", ".join(policy.regions),
        )

    @property
    def fixed(self) -> bool:
        return self.demand.policy.placement_type == "PickFixed"


def _named(ctx: Context, cluster: ClusterFacts) -> Finding:
    if not ctx.fixed:
        return (True, cluster.name, "any cluster", "")
    limit = ", ".join(sorted(ctx.names))
    if cluster.name in ctx.names:
        return (True, cluster.name, limit, "")
    return (False, cluster.name, limit, "Not one of the clusters that you named.")


def _reachable(ctx: Context, cluster: ClusterFacts) -> Finding:
    if cluster.state in PLACEABLE:
        return (True, cluster.state, "ready or degraded", "")
    words = cluster.state.replace("_", " ")
    reason = _STATES.get(cluster.state, f"The cluster is {words}.")
    if cluster.state == "unreachable":
        reason += _last_seen(cluster)
    return (False, words, "ready or degraded", reason)


_STATES = {
    "joining": "Still joining: its inventory is not complete.",
    "unreachable": "Unreachable, so nobody knows what is free.",
    "credentials_refused": "The cluster refuses our credentials.",
    "different_cluster": "Another cluster answers at this address.",
    "draining": "The cluster is being drained.",
    "retired": "The cluster is retired.",
}


def _last_seen(cluster: ClusterFacts) -> str:
    if cluster.age_seconds is None:
        return " Its inventory was never seen."
    return f" Last inventory {span(cluster.age_seconds)} ago."


def span(seconds: float) -> str:
    """Seconds as a short span: "42 s", "12 min", "3 h", "2 days"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"


def _fresh(ctx: Context, cluster: ClusterFacts) -> Finding:
    limit = ctx.situation.stale_after_seconds
    age = cluster.age_seconds
    if age is None:
        return (False, "never seen", span(limit), "Its inventory was never seen.")
    if age <= limit:
        return (True, span(age), span(limit), "")
    reason = f"Its inventory is {span(age)} old (limit {span(limit)})."
    return (False, span(age), span(limit), reason)


def _cordon(ctx: Context, cluster: ClusterFacts) -> Finding:
    if not cluster.cordoned:
        return (True, "not cordoned", "not cordoned", "")
    why = cluster.cordon_reason.rstrip(".")
    return (False, "cordoned", "not cordoned", f"Cordoned: {why}." if why else "Cordoned.")


def _taints(ctx: Context, cluster: ClusterFacts) -> Finding:
    if not cluster.taints:
        return (True, "no taints", "all tolerated", "")
    words = ", ".join(taint_in_words(taint) for taint in cluster.taints)
    if ctx.fixed:
        return (None, words, "all tolerated", "Not evaluated: you named the cluster.")
    for taint in cluster.taints:
        if not tolerates(ctx.demand.policy.tolerations, taint):
            reason = f"The cluster has the taint {taint_in_words(taint)}, without a toleration."
            return (False, words, "all tolerated", reason)
    return (True, words, "all tolerated", "")


def _team(ctx: Context, cluster: ClusterFacts) -> Finding:
    team = ctx.demand.team
    if cluster.teams is None:
        return (True, "every team", team, "")
    value = ", ".join(sorted(cluster.teams)) or "no team"
    if team in cluster.teams:
        return (True, value, team, "")
    return (False, value, team, f"The cluster is not granted to team {team}.")


def _affinity(ctx: Context, cluster: ClusterFacts) -> Finding:
    if not ctx.required:
        return (True, "", "nothing required", "")
    if ctx.fixed:
        return (None, "", ctx.required, "Not evaluated: you named the cluster.")
    if any_term_matches(ctx.demand.policy.required, cluster):
        return (True, "matches", ctx.required, "")
    return (False, "does not match", ctx.required, f"Does not match: {ctx.required}.")


def _region(ctx: Context, cluster: ClusterFacts) -> Finding:
    if not ctx.regions:
        return (True, cluster.region, "any region", "")
    if not cluster.region:
        return (False, "unknown", ctx.regions, f"Its region is unknown (allowed: {ctx.regions}).")
    if cluster.region in ctx.demand.policy.regions:
        return (True, cluster.region, ctx.regions, "")
    reason = f"It is in {cluster.region} (allowed: {ctx.regions})."
    return (False, cluster.region, ctx.regions, reason)


def _kaito(ctx: Context, cluster: ClusterFacts) -> Finding:
    facts = cluster.capabilities
    version = f"KAITO {facts.kaito_version}" if facts.kaito_version else "version unknown"
    limit = "kaito.sh Workspace served"
    if facts.workspace_served:
        if facts.kaito_version:
            return (True, version, limit, "")
        return (None, version, limit, "KAITO's version is unknown; sized as version 0.12.0.")
    if facts.workspace_served is None:
        return (False, "unknown", limit, "Nobody could tell whether KAITO runs here.")
    return (False, "not served", limit, "KAITO is not installed: kaito.sh Workspace is not served.")


def _inference_set(ctx: Context, cluster: ClusterFacts) -> Finding:
    works = cluster.capabilities.inference_set_works
    if works:
        return (True, "works", "InferenceSet works", "")
    value = "unknown" if works is None else "does not work"
    reason = "InferenceSet is not usable here, so one replica at most, as a plain Workspace."
    return (None, value, "InferenceSet works", reason)


def _permissions(ctx: Context, cluster: ClusterFacts) -> Finding:
    facts = cluster.capabilities
    missing = [gap.missing for gap in facts.gaps if gap.feature == "deploy"]
    limit = "may deploy, admission answers"
    if missing:
        words = ", ".join(missing)
        return (False, f"missing: {words}", limit, f"The portal may not deploy here: {words}.")
    if facts.webhook_ready is False:
        reason = "KAITO's admission webhook does not answer, so every apply would fail."
        return (False, "webhook not ready", limit, reason)
    if facts.webhook_ready is None:
        return (None, "webhook unknown", limit, "Nobody could tell whether admission answers.")
    return (True, "complete", limit, "")


_MODES = {
    ProvisionerMode.BYO: "existing nodes (bring-your-own)",
    ProvisionerMode.AZURE: "creates nodes (azure-gpu-provisioner)",
    ProvisionerMode.KARPENTER: "creates nodes (karpenter)",
}


def _provisioner(ctx: Context, cluster: ClusterFacts) -> Finding:
    mode = cluster.capabilities.provisioner
    if mode is not None:
        return (True, _MODES[mode], "known", "")
    reason = "KAITO's provisioner mode is unknown, so no right manifest can be made."
    return (False, "unknown", "known", reason)


def _gated(ctx: Context, cluster: ClusterFacts) -> Finding:
    model = ctx.demand.model
    if not model.gated:
        return (True, "not gated", "no token needed", "")
    if ctx.demand.has_secret:
        return (True, "gated, token stored", "token of the team", "")
    reason = f"{model.hf_id} is gated and team {ctx.demand.team} has no Hugging Face token."
    return (False, "gated, no token", "token of the team", reason)


def _freeze(ctx: Context, cluster: ClusterFacts) -> Finding:
    why = ctx.situation.frozen_clusters.get(cluster.id)
    if why is None:
        return (True, "no freeze", "no freeze", "")
    return (False, "frozen", "no freeze", f"Frozen: {why.rstrip('.')}." if why else "Frozen.")


BEFORE_POOLS: tuple[tuple[str, Callable[[Context, ClusterFacts], Finding]], ...] = (
    ("named", _named),
    ("reachable", _reachable),
    ("fresh", _fresh),
    ("cordon", _cordon),
    ("taints", _taints),
    ("team", _team),
    ("affinity", _affinity),
    ("region", _region),
    ("kaito", _kaito),
    ("inference_set", _inference_set),
    ("permissions", _permissions),
    ("provisioner", _provisioner),
    ("gated", _gated),
)
AFTER_POOLS = (("freeze", _freeze),)
CLUSTER_FILTERS = BEFORE_POOLS + AFTER_POOLS


def findings(ctx: Context, cluster: ClusterFacts) -> tuple[Finding, ...]:
    """Every cluster filter's answer, in the order of CLUSTER_FILTERS."""
    return tuple([check(ctx, cluster) for _, check in CLUSTER_FILTERS])


def passes(answers: tuple[Finding, ...]) -> bool:
    """No filter failed; "not evaluated" does not fail."""
    return all(answer[0] is not False for answer in answers)
