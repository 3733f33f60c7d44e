"""What the portal must be allowed to do on a cluster, as questions, each with its price.

The list mirrors the roles that the install manifest grants. A question becomes one
SelfSubjectAccessReview; a "no" becomes a Gap that says in a sentence what will not work.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """May we do `verb` on `resource`? `cost` is the sentence for the answer no."""

    feature: str  # a feature of engine.types.Gap
    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    cost: str = ""
    team_scoped: bool = False  # asked in a team's namespace where there is one
    namespace: str = ""  # asked there always
    name: str = ""  # of the one object that is needed

    @property
    def missing(self) -> str:
        """The permission in words: "create inferencesets.kaito.sh"."""
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        full = f"{name}.{self.group}" if self.group else name
        return f"{self.verb} {full}"


def _ask(
    feature: str,
    verbs: str,
    resource: str,
    cost: str,
    *,
    group: str = "",
    subresource: str = "",
    team_scoped: bool = False,
    namespace: str = "",
    name: str = "",
) -> tuple[Question, ...]:
    return tuple(
        Question(feature, verb, resource, group, subresource, cost, team_scoped, namespace, name)
        for verb in verbs.split()
    )


_KAITO = "kaito.sh"
_CHANGE = "create patch delete"

QUESTIONS: tuple[Question, ...] = (
    *_ask("observe", "list watch", "nodes", "GPUs of this cluster stay unknown."),
    *_ask("observe", "list watch", "pods", "Used and free GPUs stay unknown."),
    *_ask("observe", "get", "namespaces", "The cluster cannot be told from another one."),
    *_ask("observe", "list watch", "workspaces", "Models stay invisible.", group=_KAITO),
    *_ask("observe", "list", "events", "Why a pod is pending cannot be shown."),
    *_ask("observe", "get list", "statefulsets", "Missing pods go unexplained.", group="apps"),
    *_ask("observe", "list", "deployments", "KAITO's version and mode are unknown.", group="apps"),
    *_ask(
        "observe",
        "list",
        "endpointslices",
        "Whether a model takes traffic is unknown.",
        group="discovery.k8s.io",
    ),
    *_ask(
        "observe",
        "get",
        "configmaps",
        "KAITO's base image is unknown.",
        namespace="kaito-workspace",
        name="kaito-supported-models",
    ),
    *_ask(
        "observe",
        "list",
        "resourcequotas",
        "A namespace quota that blocks pods is not foreseen.",
    ),
    *_ask(
        "observe",
        "list",
        "customresourcedefinitions",
        "Whether KAITO's kinds have the expected version is unknown.",
        group="apiextensions.k8s.io",
    ),
    *_ask(
        "observe",
        "list",
        "validatingwebhookconfigurations",
        "Whether the InferenceSet controller is alive is unknown.",
        group="admissionregistration.k8s.io",
    ),
    *_ask(
        "inference-set",
        "list watch",
        "inferencesets",
        "Replicas of a model stay invisible.",
        group=_KAITO,
    ),
    *_ask(
        "inference-set",
        _CHANGE,
        "inferencesets",
        "A deployment is one Workspace with one replica here.",
        group=_KAITO,
        team_scoped=True,
    ),
    *_ask(
        "deploy",
        _CHANGE,
        "workspaces",
        "Models cannot be deployed, changed or removed here.",
        group=_KAITO,
        team_scoped=True,
    ),
    *_ask(
        "deploy",
        f"get {_CHANGE}",
        "configmaps",
        "The settings of a model cannot be shipped.",
        team_scoped=True,
    ),
    *_ask(
        "deploy",
        f"get {_CHANGE}",
        "services",
        "Traffic cannot be switched to a new revision.",
        team_scoped=True,
    ),
    *_ask(
        "deploy",
        _CHANGE,
        "secrets",
        "Gated models, which need a token, cannot be deployed.",
        team_scoped=True,
    ),
    *_ask(
        "deploy",
        "create patch",
        "namespaces",
        "A team's namespace must be made by hand before the first deployment.",
    ),
    *_ask(
        "logs",
        "get",
        "pods",
        "Logs of a model cannot be shown.",
        subresource="log",
        team_scoped=True,
    ),
    *_ask(
        "prompt",
        "get create",
        "services",
        "Test prompts, smoke tests and metrics of a model do not work.",
        subresource="proxy",
        team_scoped=True,
    ),
    *_ask(
        "provisioning",
        "list",
        "nodeclaims",
        "Why a node was not provisioned cannot be shown.",
        group="karpenter.sh",
    ),
    *_ask(
        "provisioning",
        "list",
        "nodepools",
        "Nodes on their way are not counted.",
        group="karpenter.sh",
    ),
)
