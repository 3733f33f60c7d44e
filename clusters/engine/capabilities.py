"""What a cluster really serves, from raw answers of a probe. Pure; None means it could not tell.

"Served" is not "works": the chart installs the InferenceSet kind even where its controller is off,
and objects are then inert for ever. So the webhook, the feature gates and a live controller count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clusters.engine.access import QUESTIONS, Question
from clusters.engine.raw import mapping, mappings, sequence, text
from clusters.engine.types import Capabilities, Gap, ProvisionerMode

INFERENCE_SET_WEBHOOK = "validation.inferenceset.kaito.sh"
WORKSPACE_WEBHOOK = "validation.workspace.kaito.sh"
_INFERENCE_SET_GATE = "enableInferenceSetController"
_IMAGE = re.compile(r"(?:^|/)(?:kaito-)?workspace[:@]")
_VERSION = re.compile(r"v?(\d{1,4}\.\d{1,4}\.\d{1,4}(?:-[0-9A-Za-z.-]{1,32})?)")
# the entry `name: base` of the legacy list; its tag names the runtime image that will be used
_BASE_TAG = re.compile(
    r"""name["']?:\s*["']?base["']?\b(?:(?!name["']?:).){0,2000}?\btag["']?:\s*["']?([\w.-]{1,128})""",
    re.DOTALL,
)

Raw = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ProbeAnswers:
    """Answers as they came. None: the question could not be asked or was not answered.

    `kaito_kinds` are plural names in discovery of kaito.sh/v1beta1, empty if the group is absent.
    """

    version: Raw | None = None
    kaito_kinds: frozenset[str] | None = None
    webhooks: Sequence[Raw] | None = None  # ValidatingWebhookConfigurations
    deployments: Sequence[Raw] | None = None
    supported_models: Raw | None = None  # ConfigMap kaito-supported-models
    access: Mapping[Question, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Controller:
    """KAITO's controller Deployment as read."""

    version: str | None
    provisioner: ProvisionerMode | None
    gates: Mapping[str, bool]
    alive: bool


def read_capabilities(answers: ProbeAnswers) -> Capabilities:
    """Everything that placement, manifests and pages need to know of one cluster."""
    controller = _find_controller(answers.deployments)
    names = None if answers.webhooks is None else frozenset(_webhook_names(answers.webhooks))
    found = Capabilities(
        kubernetes_version=_kubernetes_version(answers.version),
        kaito_version=controller.version if controller else None,
        workspace_served=_served(answers.kaito_kinds, "workspaces"),
        inference_set_works=_inference_set_works(answers.kaito_kinds, names, controller),
        provisioner=controller.provisioner if controller else None,
        webhook_ready=_webhook_ready(names, controller),
        feature_gates=dict(controller.gates) if controller else {},
        base_image_tag=_base_image_tag(answers.supported_models),
    )
    gaps = (*_part_gaps(found), *_permission_gaps(answers.access, found))
    return Capabilities(
        **{name: getattr(found, name) for name in _PROBED},
        gaps=gaps,
    )


_PROBED = tuple(name for name in Capabilities.__dataclass_fields__ if name != "gaps")


def _served(kinds: frozenset[str] | None, plural: str) -> bool | None:
    return None if kinds is None else plural in kinds


def _inference_set_works(
    kinds: frozenset[str] | None, webhooks: frozenset[str] | None, controller: _Controller | None
) -> bool | None:
    gate = controller.gates.get(_INFERENCE_SET_GATE) if controller else None
    if _served(kinds, "inferencesets") is False or gate is False:
        return False
    if controller is not None and not controller.alive:
        return False
    if webhooks is not None:
        return INFERENCE_SET_WEBHOOK in webhooks
    return None if controller is None or kinds is None else True  # the gate's default is on


def _webhook_ready(webhooks: frozenset[str] | None, controller: _Controller | None) -> bool | None:
    if webhooks is not None and WORKSPACE_WEBHOOK not in webhooks:
        return False
    if controller is not None and not controller.alive:
        return False
    return None if webhooks is None or controller is None else True


def _webhook_names(configurations: Sequence[Raw]) -> Iterable[str]:
    for configuration in configurations:
        for webhook in mappings(mapping(configuration).get("webhooks")):
            yield text(webhook.get("name"))


def _kubernetes_version(version: Raw | None) -> str | None:
    found = _VERSION.match(text(mapping(version).get("gitVersion")))
    return found[1] if found else None


# -- KAITO's controller --------------------------------------------------------------------------


def _find_controller(deployments: Sequence[Raw] | None) -> _Controller | None:
    for deployment in sorted(mappings(list(deployments or ())), key=_full_name):
        pod = mapping(mapping(mapping(deployment.get("spec")).get("template")).get("spec"))
        for container in mappings(pod.get("containers")):
            if _IMAGE.search(text(container.get("image"))):
                return _read_controller(deployment, container)
    return None


def _full_name(deployment: Raw) -> tuple[str, str]:
    metadata = mapping(deployment.get("metadata"))
    return text(metadata.get("namespace")), text(metadata.get("name"))


def _read_controller(deployment: Raw, container: Raw) -> _Controller:
    flags = _flags(container)
    labels = mapping(mapping(deployment.get("metadata")).get("labels"))
    named = flags.get("node-provisioner", ProvisionerMode.AZURE)  # KAITO's default
    ready = mapping(deployment.get("status")).get("readyReplicas")
    return _Controller(
        version=_kaito_version(text(container.get("image")), labels),
        provisioner=ProvisionerMode(named) if named in set(ProvisionerMode) else None,
        gates=_gates(flags.get("feature-gates", "")),
        alive=isinstance(ready, int) and ready > 0,
    )


def _kaito_version(image: str, labels: Raw) -> str | None:
    sources = (
        image.rpartition(":")[2],
        text(labels.get("app.kubernetes.io/version")),
        text(labels.get("helm.sh/chart")).rpartition("-")[2],
    )
    found = (_VERSION.fullmatch(source) for source in sources)
    return next((match[1] for match in found if match), None)


def _flags(container: Raw) -> dict[str, str]:
    """`--name=value` and `--name value`, from command and args."""
    words = [w for key in ("command", "args") for w in sequence(container.get(key))]
    flags: dict[str, str] = {}
    waiting = ""
    for word in words:
        if not isinstance(word, str):
            continue
        if word.startswith("-"):
            waiting, _, value = word.lstrip("-").partition("=")
            flags[waiting] = value
        elif waiting and not flags[waiting]:
            flags[waiting] = word
    return flags


def _gates(value: str) -> dict[str, bool]:
    pairs = (part.strip().partition("=") for part in value.split(","))
    return {
        name: setting.lower() == "true"
        for name, _, setting in pairs
        if name and setting.lower() in ("true", "false")
    }


def _base_image_tag(configmap: Raw | None) -> str | None:
    for value in mapping(mapping(configmap).get("data")).values():
        found = _BASE_TAG.search(value) if isinstance(value, str) else None
        if found:
            return found[1]
    return None


# -- gaps ----------------------------------------------------------------------------------------


def _part_gaps(found: Capabilities) -> Iterable[Gap]:
    if found.workspace_served is False:
        yield Gap(
            "deploy",
            "kind Workspace in kaito.sh/v1beta1",
            "KAITO is not installed here or too old, so no model can be deployed.",
        )
        return
    if found.webhook_ready is False:
        yield Gap(
            "deploy",
            f"webhook {WORKSPACE_WEBHOOK}",
            "KAITO's controller is not ready, so nothing can be applied or removed for now.",
        )
    if found.inference_set_works is False:
        yield Gap(
            "inference-set",
            f"webhook {INFERENCE_SET_WEBHOOK}",
            "InferenceSets are inert here: a deployment is one Workspace with one replica.",
        )
    if found.provisioner is None:
        yield Gap(
            "provisioning",
            "flag --node-provisioner of KAITO's controller",
            "Whether nodes can be created here is unknown, so placement cannot count on it.",
        )


def _permission_gaps(access: Mapping[Question, bool], found: Capabilities) -> Iterable[Gap]:
    for question in QUESTIONS:
        if access.get(question) is False and _matters(question, found):
            yield Gap(question.feature, question.missing, question.cost)


def _matters(question: Question, found: Capabilities) -> bool:
    """A kind that is not used here costs nothing when it may not be read."""
    if question.feature == "provisioning":
        return found.provisioner is not ProvisionerMode.BYO
    if question.feature == "inference-set":
        return found.inference_set_works is not False
    return True
