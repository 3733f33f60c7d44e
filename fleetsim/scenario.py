"""Seeds fleets and single clusters: the story's nine, generated ones, and those made at run time.

A cluster's dict has settings of actors.spec.ClusterSpec (kaito_version, mode, provider, region,
gates, capacity, faults ...) and contents: nodes, pods, quotas, foreign_workspaces, labels,
environment, grants, cordoned, cordon_reason. Contents are put in before actors see the cluster.
"""

from __future__ import annotations

from typing import Any

from fleetsim import actors
from fleetsim.actors import exporters, loads, prometheus, timing, writers
from fleetsim.actors.member import Member
from fleetsim.actors.spec import ClusterSpec
from fleetsim.store import ApiError, ClusterStore, Fleet
from fleetsim.story import generated, install, people
from fleetsim.story.clusters import STORY

Spec = dict[str, Any]
MOST = 1000
_CONTENTS = ("nodes", "pods", "quotas", "foreign_workspaces", "labels", "environment", "grants",
             "cordoned", "cordon_reason")  # fmt: skip


def build(fleet: Fleet, name: str, count: int = 0) -> None:
    """Seed a scenario: `story` (nine clusters, generated ones beyond, fewer when `count` is below
    nine) or `empty`. Raises ValueError for another name or more than 1000 clusters."""
    if name == "empty":
        return
    if name != "story":
        raise ValueError(f"scenario {name!r} is not one of story, empty")
    wanted = count or len(STORY)
    if not 1 <= wanted <= MOST:
        raise ValueError(f"clusters: {wanted} is not between 1 and {MOST}")
    for cluster, spec in list(STORY.items())[:wanted]:
        make_cluster(fleet, cluster, spec)
    for number in range(len(STORY) + 1, wanted + 1):
        make_cluster(fleet, *generated.spec(number, fleet.rng(f"generated/{number}")))
    actors.of(fleet).rush()


def make_cluster(fleet: Fleet, name: str, spec: Spec) -> ClusterStore:
    """One cluster from a dict (an empty one is a bring-your-own AWS cluster without nodes).

    Raises ApiError 400 naming a bad setting, 409 when the name is taken.
    """
    contents = {key: spec[key] for key in _CONTENTS if key in spec}
    settings = _settings({key: value for key, value in spec.items() if key not in _CONTENTS})
    store = fleet.add_cluster(name, install.definitions(settings))
    store.meta = _meta(name, settings, contents)
    install.install(store, settings)
    people.seed_nodes(store, settings, contents.get("nodes", []))
    if settings.exporters:
        exporters.seed(store)
        _seed_prometheus(store)
    _seed_idle_pods(store, contents.get("pods", 0))
    actors.of(fleet).attach(store, settings)
    for row in contents.get("foreign_workspaces", ()):
        people.ensure_namespace(store, row["namespace"])
        store.create(people.workspace(row), manager="kubectl-client-side-apply")
    return store


def _settings(values: Spec) -> ClusterSpec:
    try:
        return ClusterSpec.parse(values)
    except (TypeError, ValueError) as error:
        raise ApiError(400, str(error)) from error


def _meta(name: str, settings: ClusterSpec, contents: Spec) -> Spec:
    """The row of clusters.json that a portal registers from."""
    environment = contents.get("environment", "test")
    own = {"environment": environment, "region": settings.region, "provider": settings.provider}
    return {
        "environment": environment,
        "region": settings.region,
        "provider": settings.provider,
        "labels": {**own, **contents.get("labels", {})},
        "grants": list(contents.get("grants", [])),
        "quotas": list(contents.get("quotas", [])),
        "simulated": True,
        "cordoned": bool(contents.get("cordoned", False)),
        "cordon_reason": str(contents.get("cordon_reason", "")),
    }


def _seed_idle_pods(store: ClusterStore, wanted: int) -> None:
    """Fill up to `wanted` pods with ones that hold no GPU, over the nodes in turn."""
    nodes = [node["metadata"]["name"] for node in store.list("Node")]
    have = len(store.list("Pod"))
    for number in range(have, wanted if nodes else 0):
        people.seed_pod(store, f"web-{number}", nodes[number % len(nodes)], 0)


def _seed_prometheus(store: ClusterStore) -> None:
    """A Prometheus that has been there for longer than the portal."""
    nodes = store.list("Node")
    node = nodes[0]["metadata"]["name"] if nodes else "system-0"
    for obj in prometheus.objects(node):
        store.seed(exporters.running(obj, "10.244.252.2") if obj["kind"] == "Pod" else obj)


def registration(fleet: Fleet) -> list[Spec]:
    """What a portal's operator would type, a row per cluster: name, environment, region, provider,
    labels, grants, quotas, simulated, cordoned, cordon_reason. The server adds address and token.
    """
    return [{"name": name, **store.meta} for name, store in fleet.clusters.items()]


def edit(fleet: Fleet, name: str, values: Spec) -> dict[str, Any]:
    """A foreign write {kind, namespace?, name, patch}, as `kubectl edit` would leave it.

    Returns the object. Raises ApiError 404, or 400 naming what is missing.
    """
    store = fleet.clusters.get(name)
    if store is None:
        raise ApiError(404, f'no cluster "{name}"')
    missing = [key for key in ("kind", "name", "patch") if not values.get(key)]
    if missing:
        raise ApiError(400, f"{missing[0]}: is needed")
    where = values.get("namespace")
    return writers.edit(store, values["kind"], where, values["name"], values["patch"])


def change(fleet: Fleet, name: str, values: Spec) -> None:
    """Change settings of a running cluster: capacity, faults, webhook_down, cache_lag, base_tag ...

    Only the named settings change. Raises ApiError 404, or 400 naming a bad setting.
    """
    member = actors.of(fleet).members.get(name)
    if member is None:
        raise ApiError(404, f'no cluster "{name}"')
    fixed = {"mode", "provider", "region", "zones"} & set(values)
    if fixed:
        raise ApiError(400, f"{sorted(fixed)[0]}: cannot be changed on a running cluster")
    parsed = _settings(values)
    for key in values:
        setattr(member.spec, key, getattr(parsed, key))
    if "load" in values:
        loads.retune(member)
    if "kaito_version" in values:
        _upgrade(member, parsed)
    if {"kaito_version", "base_tag", "engine_version", "gates"} & set(values):
        install.refresh(member.store, member.spec)
    actors.of(fleet).wake()


def _upgrade(member: Member, parsed: ClusterSpec) -> None:
    """A new controller: what it serves may change, and for a while its webhook does not answer."""
    spec = member.spec
    spec.inference_set_served = parsed.inference_set_served
    spec.webhook_down = True
    member.agenda.after(timing.CONTROLLER_RESTART, lambda: setattr(spec, "webhook_down", False))
