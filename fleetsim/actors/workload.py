"""What KAITO makes for a Workspace whose nodes are there: two Services and a StatefulSet."""

from __future__ import annotations

from typing import Any

from fleetsim.actors import estimate, models, naming, sizing
from fleetsim.actors.member import Member
from fleetsim.actors.nodes import GPU
from fleetsim.actors.objects import Obj, key_of, labels, meta, notes_of, owner_ref

PORT = 5000
_PORTS = (("http", 80, PORT), ("ray", 6379, 6379), ("dashboard", 8265, 8265), ("zmq", 5557, 5557))


def ensure(m: Member, workspace: Obj) -> None:
    """Create what is missing. Nothing that exists is changed: neither is it by KAITO."""
    namespace, name = key_of(workspace)
    for service in (_service(workspace), _headless(workspace)):
        if m.store.get("Service", namespace, meta(service)["name"]) is None:
            m.store.create(service, manager=naming.MANAGER)
    if m.store.get("StatefulSet", namespace, name) is None:
        m.store.create(_stateful_set(m, workspace), manager=naming.MANAGER)


def _base(workspace: Obj, kind: str, api_version: str, name: str) -> Obj:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": meta(workspace)["namespace"],
            "labels": {naming.WORKSPACE: meta(workspace)["name"]},
            "ownerReferences": [owner_ref(workspace)],
        },
    }


def _service(workspace: Obj) -> Obj:
    name = meta(workspace)["name"]
    public = notes_of(workspace).get("kaito.sh/enablelb") == "True"
    selector = {naming.WORKSPACE: name, "statefulset.kubernetes.io/pod-name": f"{name}-0"}
    ports = [{"name": n, "port": p, "targetPort": t, "protocol": "TCP"} for n, p, t in _PORTS]
    service = _base(workspace, "Service", "v1", name)
    service["spec"] = {
        "type": "LoadBalancer" if public else "ClusterIP",
        "selector": selector,
        "ports": ports,
        "publishNotReadyAddresses": True,
    }
    return service


def _headless(workspace: Obj) -> Obj:
    name = meta(workspace)["name"]
    service = _base(workspace, "Service", "v1", f"{name}-headless")
    service["spec"] = {
        "clusterIP": "None",
        "selector": {naming.WORKSPACE: name},
        "ports": [{"name": "ray", "port": 6379, "targetPort": 6379, "protocol": "TCP"}],
        "publishNotReadyAddresses": True,
    }
    return service


def _stateful_set(m: Member, workspace: Obj) -> Obj:
    name = meta(workspace)["name"]
    chosen = {naming.WORKSPACE: name}
    carried = {k: v for k, v in labels(workspace).items() if k == naming.CREATED_BY}
    workload = _base(workspace, "StatefulSet", "apps/v1", name)
    workload["metadata"]["labels"] |= carried
    workload["spec"] = {
        "replicas": workspace["status"]["targetNodeCount"],
        "serviceName": f"{name}-headless",
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": chosen},
        "template": {"metadata": {"labels": chosen | carried}, "spec": _pod_spec(m, workspace)},
    }
    return workload


def _pod_spec(m: Member, workspace: Obj) -> Obj:
    template = (workspace.get("inference") or {}).get("template")
    spec: Obj = dict(template["spec"]) if template else _preset_spec(m, workspace)
    spec["affinity"] = _affinity(m, workspace)
    tolerations = [
        {"key": GPU, "operator": "Exists", "effect": "NoSchedule"},
        {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
    ]
    if m.spec.provider == "azure":
        spot = {
            "key": "kubernetes.azure.com/scalesetpriority",
            "operator": "Equal",
            "value": "spot",
        }
        tolerations.append({**spot, "effect": "NoSchedule"})
    spec["tolerations"] = [*spec.get("tolerations", ()), *tolerations]
    return spec


def _affinity(m: Member, workspace: Obj) -> Obj:
    """Pods are tied to matching nodes, and in the auto modes to the Workspace's own nodes."""
    wanted = dict(naming.match_labels(workspace))
    if not m.spec.byo:
        pinned = naming.owner_labels(m.spec.mode, *key_of(workspace))
        key = next(iter(pinned))
        wanted[key] = pinned[key]
    rows = [{"key": k, "operator": "In", "values": [v]} for k, v in sorted(wanted.items())]
    selector = (workspace.get("resource") or {}).get("labelSelector") or {}
    rows += selector.get("matchExpressions") or []
    terms = {"nodeSelectorTerms": [{"matchExpressions": rows}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _preset_spec(m: Member, workspace: Obj) -> Obj:
    shape = estimate.shape(m, workspace)
    gpus = str(shape.gpus if shape else 1)
    container: Obj = {
        "name": meta(workspace)["name"],
        "image": f"mcr.microsoft.com/aks/kaito/kaito-base:{m.spec.base_tag}",
        "command": ["/bin/sh", "-c", _command(m, workspace)],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "resources": {"requests": {GPU: gpus}, "limits": {GPU: gpus}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}},
    }
    secret = workspace["inference"]["preset"].get("presetOptions", {}).get("modelAccessSecret")
    if secret:
        source = {"secretKeyRef": {"name": secret, "key": "HF_TOKEN"}}
        container["env"] = [{"name": "HF_TOKEN", "valueFrom": source}]
    config = naming.config_name(workspace)
    volumes: list[Any] = [{"name": "dshm", "emptyDir": {"medium": "Memory"}}]
    if config:
        volumes.append({"name": "config-volume", "configMap": {"name": config}})
        container["volumeMounts"] = [{"name": "config-volume", "mountPath": "/mnt/config"}]
    return {"containers": [container], "volumes": volumes}


def _command(m: Member, workspace: Obj) -> str:
    name = naming.preset(workspace)
    words = ["python3 /workspace/vllm/inference_api.py", f"--model={name}"]
    shape, model = estimate.shape(m, workspace), models.find(name)
    if shape and model:
        count = workspace["status"]["targetNodeCount"]
        plan = sizing.parallelism(shape.sizing(), model.weights_gib, count)
        words += [
            f"--tensor-parallel-size={plan.tensor}",
            f"--pipeline-parallel-size={plan.pipeline}",
        ]
        words.append(f"--data-parallel-size={plan.data}")
    served = naming.served_name(workspace, None)
    words += [f"--served-model-name={served}", "--max-model-len=auto"]
    if naming.config_name(workspace):
        words.append("--kaito-config-file=/mnt/config/inference_config.yaml")
    return " ".join(words)
