"""The webhook's rules on a Workspace's own fields, each as a list of `message: field path`.

In the order and the words of kaito's api/v1beta1 validation, as far as they are documented.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import yaml

from fleetsim.actors import models, naming, skus
from fleetsim.actors.member import Member
from fleetsim.actors.objects import Obj, meta, notes_of

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_MIG = re.compile(r"^[1-7]g\.\d+gb(\+me)?$")
_VALUES = {
    "kaito.sh/performance-mode": ("balanced", "interactivity", "throughput"),
    "kaito.sh/use-local-weights": ("true", "false"),
    "kaito.sh/node-image-family": ("azurelinux", "ubuntu"),
    naming.RUNTIME: ("vllm", "transformers"),
}
Errors = list[str]


def name(metadata: Obj) -> Errors:
    """A DNS-1123 label of at most 63 characters."""
    given = str(metadata.get("name") or metadata.get("generateName", "").rstrip("-"))
    if _LABEL.match(given) and len(given) <= 63:
        return []
    text = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'"
    return [f"invalid value: {given}: metadata.name\n{text}"]


def shape(workspace: Obj) -> Errors:
    """Exactly one of inference and tuning."""
    found = [key for key in ("inference", "tuning") if workspace.get(key)]
    if len(found) == 1:
        return []
    word = "both" if found else "neither"
    return [f"expected exactly one, got {word}: spec.inference, spec.tuning"]


def resource(m: Member, workspace: Obj) -> Errors:
    """labelSelector, instanceType by provisioner mode, partition."""
    given = workspace.get("resource") or {}
    return _selector(given.get("labelSelector")) + _instance(m, given) + _partition(m, given)


def _selector(selector: Obj | None) -> Errors:
    if not selector:
        return ["missing field(s): labelSelector"]
    rows = selector.get("matchExpressions") or []
    if any(row.get("operator") != "In" for row in rows):
        return ["invalid value: only the In operator is supported: labelSelector.matchExpressions"]
    pairs = selector.get("matchLabels") or {}
    if not rows and not set(pairs) - naming.RESERVED:
        return ["invalid value: selector has no usable label: labelSelector.matchLabels"]
    return []


def _instance(m: Member, given: Obj) -> Errors:
    asked = str(given.get("instanceType") or "")
    if m.spec.byo:
        text = "instanceType must be empty when node auto-provisioning is disabled"
        return [f"{text}: instanceType"] if asked else []
    if not asked:
        return ["missing field(s): instanceType"]
    azure = m.spec.provider == "azure"
    sku = skus.find(asked)
    loose = azure and asked.startswith(("Standard_N", "Standard_D"))
    if loose or (sku is not None and sku.provider == m.spec.provider):
        return []
    known = ", ".join(sorted(s.name for s in skus.SKUS.values() if s.provider == m.spec.provider))
    return [
        f"invalid value: Unsupported instance type {asked}. Supported SKUs: {known}: instanceType"
    ]


def _partition(m: Member, given: Obj) -> Errors:
    part = given.get("partition")
    if not part:
        return []
    gate = "enableMIG" if part.get("mode") == "mig" else "enableAccelerator"
    if not m.spec.byo:
        return ["partition is only supported when node auto-provisioning is disabled: partition"]
    if not m.spec.gates.get(gate):
        return [f"feature gate {gate} is not enabled: partition.mode"]
    if part["mode"] == "mig" and not _MIG.match(str(part.get("profile", ""))):
        return [f"invalid value: {part.get('profile', '')}: partition.profile"]
    if part["mode"] == "accelerator" and part.get("profile"):
        return ["must not set the field(s): partition.profile"]
    if part["mode"] == "accelerator" and not part.get("count"):
        return ["missing field(s): partition.count"]
    return []


def inference(workspace: Obj) -> Errors:
    """Preset or template, a known preset, adapters."""
    given = workspace.get("inference")
    if not given:
        return []
    both = [key for key in ("preset", "template") if given.get(key)]
    if len(both) != 1:
        word = "both" if both else "neither"
        return [f"expected exactly one, got {word}: inference.preset, inference.template"]
    return _preset(workspace) + _adapters(workspace, given.get("adapters") or [])


def _runtime(workspace: Obj) -> str:
    return notes_of(workspace).get(naming.RUNTIME, "vllm")


def _preset(workspace: Obj) -> Errors:
    given = naming.preset(workspace)
    if not given:
        return []
    model = models.find(given)
    if model is None:
        return [f"invalid value: Unsupported inference preset name {given}: presetName"]
    if _runtime(workspace) == "transformers" and not model.transformers:
        text = f"model {given} has no parameters for the transformers runtime"
        return [f"invalid value: {text}: presetName"]
    return []


def _adapters(workspace: Obj, rows: list[Obj]) -> Errors:
    errors: Errors = []
    if len(rows) > 10:
        errors.append(
            "Number of Adapters exceeds the maximum limit, maximum of 10 allowed: adapters"
        )
    names = [(row.get("source") or {}).get("name", "") for row in rows]
    errors += [f"Duplicate adapter source name found: {n}: adapters" for n in _twice(names)]
    if _runtime(workspace) == "vllm" and any(row.get("strength") for row in rows):
        errors.append("vLLM does not support adapter strength: adapters.strength")
    return errors


def _twice(names: list[str]) -> list[str]:
    return sorted({each for each in names if names.count(each) > 1})


def notes(workspace: Obj) -> Errors:
    """Annotations with a closed set of values."""
    found = notes_of(workspace)
    return [
        f"invalid value: {found[key]}: metadata.annotations[{key}]"
        for key, allowed in _VALUES.items()
        if key in found and found[key] not in allowed
    ]


def config(m: Member, workspace: Obj) -> Errors:
    """The ConfigMap as the webhook's cache shows it, its key, its values."""
    wanted = naming.config_name(workspace)
    if not wanted:
        return []
    namespace = meta(workspace)["namespace"]
    found = m.store.get("ConfigMap", namespace, wanted) if cached(m, namespace, wanted) else None
    if found is None:
        text = f"ConfigMap '{wanted}' specified in 'config' not found in namespace '{namespace}'"
        return [f"{text}: config"]
    content = (found.get("data") or {}).get(naming.CONFIG_KEY)
    if content is None:
        return [f"missing field(s): data.{naming.CONFIG_KEY}\nConfigMap '{wanted}' lacks the key"]
    return _settings(workspace, wanted, content)


def cached(m: Member, namespace: str, wanted: str) -> bool:
    """Whether the webhook's cache has caught up with a ConfigMap."""
    seen = m.configs.get((namespace, wanted))
    return seen is not None and m.now() >= seen[1] + timedelta(seconds=m.spec.cache_lag)


def _settings(workspace: Obj, wanted: str, text: str) -> Errors:
    try:
        document: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [
            f"Failed to parse '{naming.CONFIG_KEY}' of '{wanted}': {type(error).__name__}: config"
        ]
    settings = document.get("vllm") if isinstance(document, dict) else None
    if settings is not None and not isinstance(settings, dict):
        return [f"cannot unmarshal 'vllm' of ConfigMap '{wanted}' into map[string]string: config"]
    bad = [key for key, value in (settings or {}).items() if isinstance(value, (dict, list))]
    if bad:
        return [f"cannot unmarshal 'vllm.{bad[0]}' of ConfigMap '{wanted}' into string: config"]
    return _context(workspace, settings or {})


def _context(workspace: Obj, settings: Obj) -> Errors:
    given = settings.get("max-model-len")
    model = models.find(naming.preset(workspace))
    if given is None or model is None:
        return []
    if not str(given).isdigit():
        return [f"invalid value: {given}: max-model-len"]
    if int(given) > model.context_limit:
        text = f"max-model-len {given} exceeds the model's limit of {model.context_limit}"
        return [f"invalid value: {text}: max-model-len"]
    return []


def frozen(m: Member, old: Obj, new: Obj) -> Errors:
    """Fields of a Workspace that no update may change."""
    errors: Errors = []
    for key in ("inference", "tuning"):
        if bool(old.get(key)) != bool(new.get(key)):
            errors.append(f"field cannot be toggled once set: {key}")
    before, after = old.get("resource") or {}, new.get("resource") or {}
    for key in ("count", "partition", "labelSelector"):
        if before.get(key) != after.get(key):
            errors.append(f"field is immutable: {key}")
    cleared = m.spec.byo and not after.get("instanceType")
    if before.get("instanceType") != after.get("instanceType") and not cleared:
        errors.append("field is immutable: instanceType")
    return errors + _frozen_inference(old.get("inference") or {}, new.get("inference") or {})


def _frozen_inference(before: Obj, after: Obj) -> Errors:
    errors: Errors = []
    if _plain(before.get("preset")) != _plain(after.get("preset")):
        errors.append("field is immutable: spec.inference.preset")
    if bool(before.get("template")) != bool(after.get("template")):
        errors.append("field cannot be unset/set if it was set/unset: template")
    return errors


def _plain(preset: Obj | None) -> Obj | None:
    """A preset without Go's empty struct, which the controller itself adds."""
    if preset is None:
        return None
    return {key: value for key, value in preset.items() if value != {}}
