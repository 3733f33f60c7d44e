"""Discovery documents: versions, groups and resources, read from the kinds a cluster serves."""

from typing import Any

from fleetsim.http.messages import Reply, json_reply
from fleetsim.kinds import ALL_VERBS, Kind
from fleetsim.store import ClusterStore

REVIEWS = (
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    ("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview"),
)
SUBRESOURCES = {
    "pods": (("log", "Pod"), ("proxy", "PodProxyOptions")),
    "services": (("proxy", "ServiceProxyOptions"),),
    "serviceaccounts": (("token", "TokenRequest"),),
}


def reply(cluster: ClusterStore, path: str) -> Reply | None:
    """The document at a discovery path, None when it is not one."""
    parts = [part for part in path.strip("/").split("/") if part]
    if parts == ["version"]:
        return json_reply(_version(cluster))
    if parts == ["api"]:
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]
        doc = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
        return json_reply(doc)
    if parts == ["apis"]:
        groups = [_group(cluster, name) for name in _group_names(cluster)]
        return json_reply({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    if parts[:1] == ["api"] and len(parts) == 2:
        return _resources(cluster, "", parts[1])
    if parts[:1] == ["apis"] and len(parts) == 2 and parts[1] in _group_names(cluster):
        return json_reply({"kind": "APIGroup", "apiVersion": "v1", **_group(cluster, parts[1])})
    if parts[:1] == ["apis"] and len(parts) == 3:
        return _resources(cluster, parts[1], parts[2])
    return None


def _version(cluster: ClusterStore) -> dict[str, str]:
    major, minor = cluster.version.lstrip("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": cluster.version,
        "gitCommit": "simulated",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "linux/amd64",
    }


def _group_names(cluster: ClusterStore) -> list[str]:
    found = {group for group, _, _ in cluster.routes if group} | {entry[0] for entry in REVIEWS}
    return sorted(found)


def _group(cluster: ClusterStore, name: str) -> dict[str, Any]:
    versions = {version for group, version, _ in cluster.routes if group == name}
    versions |= {version for group, version, *_ in REVIEWS if group == name}
    listed = [
        {"groupVersion": f"{name}/{version}", "version": version} for version in sorted(versions)
    ]
    return {"name": name, "versions": listed, "preferredVersion": listed[-1]}


def _resources(cluster: ClusterStore, group: str, version: str) -> Reply | None:
    rows: list[dict[str, Any]] = []
    for kind in cluster.routes.values():
        if (kind.group, kind.version) == (group, version):
            rows += _rows(kind)
    for name, at, plural, kind_name in REVIEWS:
        if (name, at) == (group, version):
            rows.append({"name": plural, "singularName": "", "namespaced": False, "kind": kind_name,
                         "verbs": ["create"]})  # fmt: skip
    if not rows:
        return None
    whole = f"{group}/{version}" if group else version
    doc = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": whole, "resources": rows}
    return json_reply(doc)


def _rows(kind: Kind) -> list[dict[str, Any]]:
    base: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(ALL_VERBS),
    }
    if kind.short_names:
        base["shortNames"] = list(kind.short_names)
    if kind.categories:
        base["categories"] = list(kind.categories)
    rows = [base]
    common = {"singularName": "", "namespaced": kind.namespaced}
    if kind.status:
        rows.append({"name": f"{kind.plural}/status", **common, "kind": kind.kind,
                     "verbs": ["get", "patch", "update"]})  # fmt: skip
    if kind.scale:
        rows.append({"name": f"{kind.plural}/scale", **common, "group": "autoscaling",
                     "version": "v1", "kind": "Scale",
                     "verbs": ["get", "patch", "update"]})  # fmt: skip
    if not kind.group:
        for name, kind_name in SUBRESOURCES.get(kind.plural, ()):
            verbs = (
                ["create"] if name == "token" else ["create", "get"] if name == "proxy" else ["get"]
            )
            rows.append(
                {"name": f"{kind.plural}/{name}", **common, "kind": kind_name, "verbs": verbs}
            )
    return rows
