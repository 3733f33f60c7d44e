"""Our own mirror of KAITO's admission, so that a plan fails here and not on the fifth cluster.

Checks the rendered objects of one cluster against what is known of that cluster and of the model.
Pure: no look-up anywhere; what cannot be known here (Hugging Face, the real nodes at the moment of
the apply) stays with KAITO's webhook and the dry-run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from clusters.engine.types import ClusterFacts
from workspaces.engine.manifests import (
    CONFIG_KEY,
    CREATED_BY,
    KAITO,
    POD_INDEX,
    WORKSPACE_LABEL,
    Object,
)
from workspaces.engine.names import (
    DEPLOYMENT_MAX,
    INFERENCE_SET_MAX,
    RESERVED,
    is_label,
)
from workspaces.engine.types import ModelSpec
from workspaces.engine.validate_nodes import Problem, get, nodes

MODEL_ID = re.compile(r"[\w.-]+/[\w.-]+")
_ANNOTATIONS = {
    "kaito.sh/runtime": ("vllm", "transformers"),
    "kaito.sh/performance-mode": ("balanced", "interactivity", "throughput"),
    "kaito.sh/use-local-weights": ("true", "false"),
    "kaito.sh/node-image-family": ("azurelinux", "ubuntu"),
}
_MOST_ADAPTERS = 10


def check_deployment_name(name: str) -> list[Problem]:
    """A deployment's name becomes a Service's name and the start of every object's name."""
    if not is_label(name, DEPLOYMENT_MAX):
        text = (
            f"Use 1 to {DEPLOYMENT_MAX} lower-case letters, digits and dashes; start with a "
            "letter, end with a letter or digit."
        )
        message = f"{name[:40]!r} cannot be a name in Kubernetes" if name else "no name was given"
        return [Problem("name", message, text)]
    if not name[0].isalpha():
        return [Problem("name", f"{name!r} starts with a digit", "A Service starts with a letter.")]
    if RESERVED.fullmatch(name):
        message = f"{name!r} has the form of an object's name"
        return [Problem("name", message, "Choose a name that does not end in -r<number>-<hex>.")]
    return []


def check(objects: Sequence[Object], cluster: ClusterFacts, model: ModelSpec) -> list[Problem]:
    """Everything that KAITO or the API server would refuse, as far as it can be known."""
    found: list[Problem] = []
    for obj in objects:
        found += _common(obj)
        if obj["kind"] in ("InferenceSet", "Workspace"):
            found += _workload(obj, objects, cluster, model)
        if obj["kind"] == "Service":
            found += _service(obj, objects)
    return found


def _child(obj: Object) -> Object:
    """The Workspace that this object is, or that an InferenceSet would make."""
    if obj["kind"] == "Workspace":
        return {
            "resource": obj.get("resource") or {},
            "inference": obj.get("inference") or {},
            "annotations": get(obj, "metadata", "annotations") or {},
        }
    template = get(obj, "spec", "template") or {}
    resource = {**(template.get("resource") or {})}
    resource["labelSelector"] = get(obj, "spec", "labelSelector")
    return {
        "resource": resource,
        "inference": template.get("inference") or {},
        "annotations": get(template, "metadata", "annotations") or {},
    }


def _common(obj: Object) -> Iterator[Problem]:
    name = get(obj, "metadata", "name") or ""
    longest = {"InferenceSet": INFERENCE_SET_MAX, "ConfigMap": 253}.get(obj["kind"], 63)
    if not is_label(name, longest):
        message = f"{obj['kind']} name {name!r} is not a DNS label of at most {longest} characters"
        yield Problem("metadata.name", message, "Choose a shorter deployment name.")
    namespace = name if obj["kind"] == "Namespace" else get(obj, "metadata", "namespace") or ""
    if not is_label(namespace):
        yield Problem("metadata.namespace", f"{namespace!r} is not a DNS label", "Name a team.")
    elif namespace.startswith(("kube-", "fleet-")):
        message = f"{namespace!r} is reserved by Kubernetes or KubeFleet"
        yield Problem("metadata.namespace", message, "Use a namespace of the team.")


def _workload(
    obj: Object, objects: Sequence[Object], cluster: ClusterFacts, model: ModelSpec
) -> Iterator[Problem]:
    if obj.get("apiVersion") != KAITO:
        message = f"{obj.get('apiVersion')} fills in an instance type and drops fields"
        yield Problem("apiVersion", message, f"Use {KAITO}.")
    replicas = get(obj, "spec", "replicas")
    if obj["kind"] == "InferenceSet":
        if replicas is not None and replicas < 0:
            yield Problem("spec.replicas", f"{replicas} is negative", "Ask for 0 or more.")
        if not cluster.capabilities.inference_set_works:
            message = "no controller acts on InferenceSets on this cluster"
            yield Problem("kind", message, "Use one Workspace with one replica.")
    child = _child(obj)
    yield from nodes(child["resource"], cluster, model)
    yield from _inference(child["inference"], objects, model)
    yield from _annotations(child["annotations"], model)


def _inference(inference: Object, objects: Sequence[Object], model: ModelSpec) -> Iterator[Problem]:
    preset, template = inference.get("preset"), inference.get("template")
    if bool(preset) == bool(template):
        message = "give exactly one of preset and template"
        yield Problem("inference", message, "Name a catalog model as the preset.")
    if preset:
        yield from _preset(preset, objects, model)
    adapters = inference.get("adapters") or []
    names = [get(adapter, "source", "name") for adapter in adapters]
    if len(adapters) > _MOST_ADAPTERS or len(set(names)) != len(names):
        message = f"{len(adapters)} adapters; at most {_MOST_ADAPTERS}, each name once"
        yield Problem("inference.adapters", message, "Leave some out.")
    if inference.get("config"):
        yield from _config(inference["config"], objects, model)


def _preset(preset: Object, objects: Sequence[Object], model: ModelSpec) -> Iterator[Problem]:
    name = preset.get("name") or ""
    if name.lower() != model.hf_id.lower() or not MODEL_ID.fullmatch(name):
        message = f"{name!r} is not the model {model.hf_id}"
        yield Problem("inference.preset.name", message, "Use the Hugging Face id.")
    secret = get(preset, "presetOptions", "modelAccessSecret")
    where = "inference.preset.presetOptions.modelAccessSecret"
    if model.gated and not secret:
        message = f"{model.hf_id} is gated and no Secret is named"
        yield Problem(where, message, "Store the team's Hugging Face token.")
    elif secret and secret not in _names(objects, "Secret"):
        yield Problem(where, f"there is no Secret {secret!r}", "Store the team's token again.")


def _names(objects: Sequence[Object], kind: str) -> set[str]:
    return {obj["metadata"]["name"] for obj in objects if obj["kind"] == kind}


def _config(name: str, objects: Sequence[Object], model: ModelSpec) -> Iterator[Problem]:
    maps = [o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"] == name]
    if not maps:
        remedy = "Apply it before the object."
        yield Problem("inference.config", f"there is no ConfigMap {name!r}", remedy)
        return
    where, text = f"data[{CONFIG_KEY}]", get(maps[0], "data", CONFIG_KEY)
    if text is None:
        yield Problem(where, "the ConfigMap lacks this key", "Put KAITO's settings under it.")
        return
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        yield Problem(where, "is not YAML", "Write `vllm:` and settings below it.")
        return
    settings = get(document, "vllm")
    if not isinstance(settings, Mapping):
        yield Problem(where, "has no settings under `vllm:`", "Write `vllm:` and settings below.")
        return
    yield from _settings(settings, model)


def _settings(settings: Mapping[str, Any], model: ModelSpec) -> Iterator[Problem]:
    for key, value in settings.items():
        if not isinstance(value, str | int | float | bool):
            message = f"{key} is neither text nor a number"
            yield Problem("vllm", message, "Write one plain value.")
    length = settings.get("max-model-len")
    if length is None:
        return
    if not isinstance(length, int) or not 1 <= length <= model.context_limit:
        message = f"{length} is not between 1 and the model's limit of {model.context_limit:,}"
        yield Problem("max_model_len", message, "Ask for a shorter context.")


def _annotations(annotations: Mapping[str, str], model: ModelSpec) -> Iterator[Problem]:
    for key, allowed in _ANNOTATIONS.items():
        value = annotations.get(key)
        if value is not None and value not in allowed:
            remedy = f"Use {' or '.join(allowed)}."
            yield Problem(key, f"{value!r} is not allowed", remedy)
    runtime = annotations.get("kaito.sh/runtime", "vllm")
    if runtime not in model.runtimes:
        message = f"{model.hf_id} has no parameters for the runtime {runtime}"
        yield Problem("runtime", message, f"Use {' or '.join(model.runtimes)}.")


def _service(service: Object, objects: Sequence[Object]) -> Iterator[Problem]:
    name = service["metadata"]["name"]
    workloads = _names(objects, "InferenceSet") | _names(objects, "Workspace")
    if name in workloads or RESERVED.fullmatch(name):
        message = f"{name!r} is, or could become, the name of a Workspace"
        yield Problem("service", message, "KAITO would use our Service as its own: rename.")
    selector = get(service, "spec", "selector") or {}
    key = CREATED_BY if _names(objects, "InferenceSet") else WORKSPACE_LABEL
    if selector.get(key) not in workloads or selector.get(POD_INDEX) != "0":
        message = f"the Service does not select pod 0 of {', '.join(sorted(workloads))}"
        yield Problem("spec.selector", message, f'Select {key} and {POD_INDEX}: "0".')
