"""The Kubernetes objects of one revision: a base for all clusters and a small patch for each.

KAITO never rolls a changed object, so each revision is a new object beside the old one. In
bring-your-own mode it picks existing nodes by label and may name no instance type; in the auto
modes it creates nodes and needs one, with a selector that no existing node matches. Secret values
are never in here: they are put in when an object is applied. Reading and comparing what a cluster
holds: `ownership`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from clusters.engine.types import ClusterFacts, PoolKind
from workspaces.engine.canonical import digest
from workspaces.engine.names import namespace_of, object_name, short_hash
from workspaces.engine.types import Verdict

KAITO = "kaito.sh/v1beta1"
CONFIG_KEY = "inference_config.yaml"
TOKEN_KEY = "HF_TOKEN"  # noqa: S105 - the key's name, not a token
CREATED_BY = "inferenceset.kaito.sh/created-by"
WORKSPACE_LABEL = "kaito.sh/workspace"
POD_INDEX = "apps.kubernetes.io/pod-index"
OURS = "fleetportal.io"
MANAGED_BY = "app.kubernetes.io/managed-by"
APPLY_ORDER = ("Namespace", "Secret", "ConfigMap", "InferenceSet", "Workspace", "Service")

Object = dict[str, Any]
Patch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RevisionSpec:
    """An immutable spec of a deployment, as far as manifests need it.

    `secret` is the name of the team's Secret for a gated model, empty for none. `settings` are
    further vLLM settings. `attempt` counts how often this revision was brought to clusters: each
    time under a new name.
    """

    team: str
    deployment: str
    number: int
    model: str  # Hugging Face id
    install: str
    runtime: str = "vllm"
    max_model_len: int | None = None
    secret: str = ""
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)  # kaito.sh/* of the Workspaces
    attempt: int = 1

    @property
    def namespace(self) -> str:
        return namespace_of(self.team)

    @property
    def name(self) -> str:
        """Of the InferenceSet or Workspace."""
        return object_name(
            install=self.install,
            team=self.team,
            deployment=self.deployment,
            number=self.number,
            attempt=self.attempt,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """One chosen cluster: what is to be made there, and on which nodes."""

    cluster: str
    replicas: int
    inference_set: bool
    pool_kind: PoolKind
    instance_type: str
    selector: Mapping[str, str]  # of the pool's existing nodes; empty in the auto modes


@dataclass(frozen=True, slots=True)
class Manifests:
    """`patches` is by cluster name. Plain JSON values, without secrets; `digest` covers both."""

    base: list[Object]
    patches: dict[str, Patch]
    digest: str

    def of(self, cluster: str) -> list[Object]:
        """The objects for one cluster in apply order; KeyError for a cluster not chosen."""
        return render(self.base, self.patches[cluster])


def targets(verdicts: Iterable[Verdict], clusters: Iterable[ClusterFacts]) -> tuple[Target, ...]:
    """The chosen clusters of a decision, joined with the facts it was made from."""
    facts = {cluster.id: cluster for cluster in clusters}
    return tuple(
        _target(verdict, facts[verdict.cluster_id])
        for verdict in verdicts
        if verdict.verdict == "selected"
    )


def _target(verdict: Verdict, cluster: ClusterFacts) -> Target:
    pool = next(pool for pool in cluster.pools if pool.key == verdict.pool)
    existing = pool.kind is PoolKind.EXISTING
    return Target(
        cluster=cluster.name,
        replicas=verdict.replicas,
        inference_set=bool(cluster.capabilities.inference_set_works),
        pool_kind=pool.kind,
        instance_type="" if existing else pool.instance_type,
        selector=dict(pool.selector) if existing else {},
    )


def build(revision: RevisionSpec, chosen: Sequence[Target]) -> Manifests:
    """Base objects and one patch per cluster. The kinds that no cluster needs are left out.

    Raises ValueError when a cluster without InferenceSet would get more than one replica.
    """
    sets = any(target.inference_set for target in chosen)
    singles = any(not target.inference_set for target in chosen)
    config = _config_map(revision)
    base = [_namespace(revision)]
    base += [_secret(revision)] if revision.secret else []
    base.append(config)
    base += [_inference_set(revision, config["metadata"]["name"])] if sets else []
    base += [_workspace(revision, config["metadata"]["name"])] if singles else []
    base.append(_service(revision))
    patches = {target.cluster: _patch(revision, target, sets, singles) for target in chosen}
    return Manifests(base, patches, digest({"base": base, "patches": patches}))


def render(base: Sequence[Object], patch: Patch) -> list[Object]:
    """The objects of one cluster in apply order: kinds in `omit` left out, `merge` applied per
    kind as a JSON merge patch (RFC 7386)."""
    omit, merge = set(patch.get("omit", ())), patch.get("merge", {})
    kept = [merged(o, merge.get(o["kind"], {})) for o in base if o["kind"] not in omit]
    return sorted(kept, key=lambda o: APPLY_ORDER.index(o["kind"]))


def merged(target: Any, patch: Any) -> Any:
    """JSON merge patch: None removes a key, an object is merged, anything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def config_text(revision: RevisionSpec) -> str:
    """KAITO's inference_config.yaml. The served name is the deployment's, whatever the revision:
    KAITO would otherwise serve the model under the object's name, which changes every time."""
    settings: dict[str, Any] = {**revision.settings, "served-model-name": revision.deployment}
    if revision.max_model_len is not None:
        settings["max-model-len"] = revision.max_model_len
    return yaml.safe_dump({"vllm": settings}, sort_keys=True, default_flow_style=False)


def labels(revision: RevisionSpec, *, shared: bool = False) -> dict[str, str]:
    """Our labels; objects that outlive a revision carry only the team and the install."""
    own = {
        MANAGED_BY: "fleetportal",
        f"{OURS}/team": revision.team,
        f"{OURS}/install": revision.install,
    }
    if not shared:
        own |= {
            f"{OURS}/deployment": revision.deployment,
            f"{OURS}/revision": str(revision.number),
        }
    return own


def _meta(revision: RevisionSpec, name: str, *, shared: bool = False) -> Object:
    return {
        "name": name,
        "namespace": revision.namespace,
        "labels": labels(revision, shared=shared),
    }


def _namespace(revision: RevisionSpec) -> Object:
    meta = {"name": revision.namespace, "labels": labels(revision, shared=True)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}


def _secret(revision: RevisionSpec) -> Object:
    """Without its value; `ownership.with_token` puts it in at the moment of the apply."""
    meta = _meta(revision, revision.secret, shared=True)
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": meta}


def _config_map(revision: RevisionSpec) -> Object:
    """Immutable and named by its content. The revision is in the name too: a ConfigMap that two
    revisions shared would be deleted with the older one, and KAITO's admission checks it on every
    later write to the younger."""
    text = config_text(revision)
    name = f"{revision.name}-{short_hash(text, length=8)}"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _meta(revision, name),
        "immutable": True,
        "data": {CONFIG_KEY: text},
    }


def _inference(revision: RevisionSpec, config: str) -> Object:
    preset: Object = {"name": revision.model}
    if revision.secret:
        preset["presetOptions"] = {"modelAccessSecret": revision.secret}
    return {"preset": preset, "config": config}


def _annotations(revision: RevisionSpec) -> dict[str, str]:
    runtime = {} if revision.runtime == "vllm" else {"kaito.sh/runtime": revision.runtime}
    return {**revision.annotations, **runtime}


def _inference_set(revision: RevisionSpec, config: str) -> Object:
    """Template labels and annotations reach the children; annotations of the set do not."""
    template: Object = {
        "metadata": {"labels": labels(revision)},
        "inference": _inference(revision, config),
    }
    if _annotations(revision):
        template["metadata"]["annotations"] = _annotations(revision)
    return {
        "apiVersion": KAITO,
        "kind": "InferenceSet",
        "metadata": _meta(revision, revision.name),
        "spec": {"template": template},
    }


def _workspace(revision: RevisionSpec, config: str) -> Object:
    meta = _meta(revision, revision.name)
    if _annotations(revision):
        meta["annotations"] = _annotations(revision)
    return {
        "apiVersion": KAITO,
        "kind": "Workspace",
        "metadata": meta,
        "inference": _inference(revision, config),
    }


def _service(revision: RevisionSpec) -> Object:
    """Our own stable address. The pod index keeps Ray workers out, which carry the same label."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(revision, revision.deployment),
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"}],
            "selector": {CREATED_BY: revision.name, POD_INDEX: "0"},
        },
    }


def node_selector(revision: RevisionSpec, target: Target) -> dict[str, str]:
    """Labels of the nodes: the pool's own, or in the auto modes one that only nodes made for this
    object will carry. KAITO would otherwise count existing nodes that its pods cannot use."""
    if target.pool_kind is PoolKind.EXISTING:
        return dict(target.selector)
    unique = short_hash(revision.install, revision.namespace, revision.name, length=8)
    return {f"{OURS}/nodes": f"{revision.name}-{unique}"}


def _patch(revision: RevisionSpec, target: Target, sets: bool, singles: bool) -> Patch:
    selector = {"matchLabels": node_selector(revision, target)}
    resource = {"instanceType": target.instance_type} if target.instance_type else None
    if target.inference_set:
        spec: Object = {"replicas": target.replicas, "labelSelector": selector}
        if resource:
            spec["template"] = {"resource": resource}
        patch: Patch = {"merge": {"InferenceSet": {"spec": spec}}}
        return {"omit": ["Workspace"], **patch} if singles else patch
    if target.replicas != 1:
        raise ValueError(
            f"{target.cluster}: {target.replicas} replicas without InferenceSet; "
            "plain Workspaces share no pod label, so only 1 replica can be behind one Service"
        )
    own = {"resource": {"labelSelector": selector, **(resource or {})}}
    pods = {CREATED_BY: None, WORKSPACE_LABEL: revision.name}
    patch = {"merge": {"Workspace": own, "Service": {"spec": {"selector": pods}}}}
    return {"omit": ["InferenceSet"], **patch} if sets else patch
