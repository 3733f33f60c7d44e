"""What a cluster with KAITO and NVIDIA's operator holds before anyone deploys a model.

A portal's capability probe reads these: CRDs, the controller's Deployment and flags, webhooks, the
base image's ConfigMap, storage classes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml

from fleetsim import crds
from fleetsim.actors.spec import BYO, ClusterSpec
from fleetsim.store import ClusterStore

Obj = dict[str, Any]
NAMESPACE = "kaito-workspace"
MANAGER = "helm"
_GATES = {
    "vLLM": True,
    "disableNodeAutoProvisioning": False,
    "gatewayAPIInferenceExtension": False,
    "enableInferenceSetController": True,
    "enableMIG": False,
    "enableAccelerator": False,
    "ModelStreaming": False,
    "ModelMirror": False,
    "enableBaseImageAutoUpgrade": False,
}


def definitions(spec: ClusterSpec) -> list[Obj]:
    """The CRDs that this installation serves."""
    names = ["workspace"]
    if spec.inference_set_served:
        names.append("inferenceset")
    if spec.mode != BYO:
        names.append("karpenter")
    return _load(tuple(names))


@lru_cache(maxsize=8)
def _load(names: tuple[str, ...]) -> list[Obj]:
    """Parsed once; the store copies what it takes."""
    return crds.load(*names)


def install(store: ClusterStore, spec: ClusterSpec) -> None:
    """Seed KAITO's own objects."""
    objects = [_namespace(NAMESPACE), _namespace("gpu-operator"), _controller(spec), _models(spec)]
    objects.append(_webhook("workspace", ["workspaces"]))
    if spec.inference_sets:
        objects.append(_webhook("inferenceset", ["inferencesets", "inferencesets/status"]))
    objects += [_class(name) for name in _storage(spec)]
    for obj in objects:
        store.seed(obj)


def refresh(store: ClusterStore, spec: ClusterSpec) -> None:
    """After an upgrade: serve what is new, bring the controller and its ConfigMap up to date."""
    for crd in definitions(spec):
        if store.get("CustomResourceDefinition", None, crd["metadata"]["name"]) is None:
            store.create(crd, manager=MANAGER)
    hook = _webhook("inferenceset", ["inferencesets", "inferencesets/status"])
    if spec.inference_sets and store.get(hook["kind"], None, hook["metadata"]["name"]) is None:
        store.create(hook, manager=MANAGER)
    for wanted in (_controller(spec), _models(spec)):
        old = store.get(wanted["kind"], NAMESPACE, wanted["metadata"]["name"])
        if old is not None:
            old["metadata"]["labels"] = wanted["metadata"].get("labels", {})
            parts = {key: wanted[key] for key in ("spec", "data") if key in wanted}
            store.update(old | parts, manager=MANAGER)


def _namespace(name: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def gates_text(spec: ClusterSpec) -> str:
    """The value of `--feature-gates`."""
    known = {
        key: value
        for key, value in _GATES.items()
        if spec.version >= (0, 11) or key != "enableInferenceSetController"
    }
    gates = known | {"disableNodeAutoProvisioning": spec.mode == BYO} | spec.gates
    return ",".join(f"{key}={str(value).lower()}" for key, value in gates.items())


def _controller(spec: ClusterSpec) -> Obj:
    found = {"app.kubernetes.io/name": "workspace", "app.kubernetes.io/instance": "kaito-workspace"}
    container = {
        "name": "workspace",
        "image": f"mcr.microsoft.com/aks/kaito/workspace:{spec.kaito_version}",
        "args": [f"--feature-gates={gates_text(spec)}", f"--node-provisioner={spec.mode}"],
        "env": [
            {"name": "CLOUD_PROVIDER", "value": spec.provider},
            {"name": "PRESET_REGISTRY_NAME", "value": "mcr.microsoft.com/aks/kaito"},
        ],
    }
    template = {"metadata": {"labels": found}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "kaito-workspace",
            "namespace": NAMESPACE,
            "labels": found | {"app.kubernetes.io/version": spec.kaito_version},
        },
        "spec": {"replicas": 1, "selector": {"matchLabels": found}, "template": template},
        "status": {
            "replicas": 1,
            "readyReplicas": 1,
            "availableReplicas": 1,
            "observedGeneration": 1,
        },
    }


def _models(spec: ClusterSpec) -> Obj:
    base = {"name": "base", "type": "text-generation", "runtime": "tfs", "tag": spec.base_tag,
            "runtimeVersion": f"vllm:{spec.engine_version}"}  # fmt: skip
    text = yaml.safe_dump({"models": [base]}, sort_keys=False)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kaito-supported-models", "namespace": NAMESPACE},
        "data": {"supported_models.yaml": text},
    }


def _webhook(what: str, resources: list[str]) -> Obj:
    name = f"validation.{what}.kaito.sh"
    service = {"name": "kaito-workspace", "namespace": NAMESPACE, "path": f"/{what}", "port": 9443}
    rule = {"apiGroups": ["kaito.sh"], "apiVersions": ["v1alpha1", "v1beta1"], "scope": "*"}
    rule |= {"operations": ["CREATE", "UPDATE"], "resources": resources}
    hook = {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": service},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": 10,
        "rules": [rule],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [hook],
    }


def _storage(spec: ClusterSpec) -> list[str]:
    return ["default"] if spec.mode == BYO else ["default", "kaito-local-nvme-disk"]


def _class(name: str) -> Obj:
    provisioner = "localdisk.csi.acstor.io" if "nvme" in name else "disk.csi.azure.com"
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
