"""RBAC-lite: users behind bearer tokens, and rules of verbs x resources x namespaces. Pure.

The same rules answer requests (403) and SelfSubjectAccessReviews, so the two cannot disagree.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

READ = ("get", "list", "watch")
ALL = ("*",)


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources. A resource is `pods`, `pods/log`, `workspaces.kaito.sh` or `*`.

    `namespaces` of `("*",)` means everywhere, cluster-scoped objects included. `names` narrows to
    single objects.
    """

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    namespaces: tuple[str, ...] = ALL
    names: tuple[str, ...] = ()

    def allows(self, verb: str, resource: str, namespace: str, name: str) -> bool:
        """Whether the rule grants this. `namespace` is empty for the whole cluster."""
        if "*" not in self.verbs and verb not in self.verbs:
            return False
        if "*" not in self.resources and resource not in self.resources:
            return False
        if "*" not in self.namespaces and namespace not in self.namespaces:
            return False
        return not self.names or name in self.names


@dataclass(frozen=True, slots=True)
class User:
    """Who a token stands for. `expires` is the moment from which the token is refused."""

    name: str
    rules: tuple[Rule, ...]
    groups: tuple[str, ...] = ("system:authenticated",)
    expires: datetime | None = None

    def can(self, verb: str, resource: str, namespace: str, name: str) -> bool:
        """Whether any rule grants this."""
        return any(rule.allows(verb, resource, namespace, name) for rule in self.rules)


def rule_from(data: dict[str, Any]) -> Rule:
    """A rule from JSON: {verbs, resources, namespaces?, names?}. Raises KeyError, TypeError."""
    return Rule(
        tuple(data["verbs"]),
        tuple(data["resources"]),
        tuple(data.get("namespaces") or ALL),
        tuple(data.get("names") or ()),
    )


def qualified(group: str, plural: str, subresource: str) -> str:
    """The name that rules use: `pods/log`, `workspaces.kaito.sh/status`."""
    resource = f"{plural}.{group}" if group else plural
    return f"{resource}/{subresource}" if subresource else resource


ADMIN = User("admin", (Rule(ALL, ALL),), ("system:masters", "system:authenticated"))

READ_RULES = (
    Rule(
        READ,
        (
            "nodes", "pods", "namespaces", "services", "events", "resourcequotas", "limitranges",
            "workspaces.kaito.sh", "inferencesets.kaito.sh", "statefulsets.apps",
            "deployments.apps", "nodeclaims.karpenter.sh", "nodepools.karpenter.sh",
            "endpointslices.discovery.k8s.io",
            "resourceslices.resource.k8s.io", "resourceclaims.resource.k8s.io",
        ),
    ),
    Rule(
        ("get", "list"),
        (
            "customresourcedefinitions.apiextensions.k8s.io",
            "validatingwebhookconfigurations.admissionregistration.k8s.io",
            "storageclasses.storage.k8s.io",
        ),
    ),
    Rule(("get",), ("configmaps",), ("kaito-workspace",), ("kaito-supported-models",)),
)  # fmt: skip

DEPLOY_RULES = (
    Rule(("create", "patch", "delete"), ("workspaces.kaito.sh", "inferencesets.kaito.sh")),
    Rule(("get", "create", "patch", "delete"), ("configmaps", "services")),
    Rule(("create", "patch", "delete"), ("secrets",)),
)
OBSERVE_RULES = (
    Rule(("get",), ("pods/log", "services/proxy", "pods/proxy")),
    Rule(("create",), ("services/proxy",)),
)
NAMESPACE_RULES = (Rule(("create", "patch"), ("namespaces",)),)
SELF_RULES = (
    Rule(("create",), ("selfsubjectaccessreviews.authorization.k8s.io",
                       "selfsubjectrulesreviews.authorization.k8s.io")),
    Rule(("create",), ("serviceaccounts/token",), ("fleetportal-system",), ("fleetportal",)),
)  # fmt: skip
PORTAL_USER = "system:serviceaccount:fleetportal-system:fleetportal"
PORTAL_RULES = READ_RULES + DEPLOY_RULES + OBSERVE_RULES + NAMESPACE_RULES + SELF_RULES


def portal_user(rules: tuple[Rule, ...] = PORTAL_RULES, expires: datetime | None = None) -> User:
    """The service account that the portal uses, with every optional role unless told otherwise."""
    return User(PORTAL_USER, rules, ("system:serviceaccounts", "system:authenticated"), expires)
