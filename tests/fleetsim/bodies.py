"""Bodies and paths that the API's tests share."""

from typing import Any

WORKSPACES = "/apis/kaito.sh/v1beta1/namespaces/default/workspaces"
SETS = "/apis/kaito.sh/v1beta1/namespaces/default/inferencesets"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def workspace(name: str = "p", **resource: Any) -> dict[str, Any]:
    """A minimal Workspace."""
    selector = {"matchLabels": {"app": name}}
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name, "namespace": "default"},
        "resource": {"instanceType": "small", "labelSelector": selector, **resource},
        "inference": {"preset": {"name": "microsoft/Phi-4-mini-instruct"}},
    }


def inference_set(name: str = "p", **spec: Any) -> dict[str, Any]:
    """A minimal InferenceSet."""
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "InferenceSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "labelSelector": {"matchLabels": {"app": name}},
            "template": {"inference": {"preset": {"name": "microsoft/Phi-4-mini-instruct"}}},
            **spec,
        },
    }


def config_map(name: str = "c", **more: Any) -> dict[str, Any]:
    """A ConfigMap with one key."""
    meta = {"name": name, "namespace": "default", **more.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1"}, **more}


def pod(name: str, namespace: str = "default", **more: Any) -> dict[str, Any]:
    """A pod with one container."""
    meta = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
    spec = {"containers": [{"name": "main", "image": "x"}], **more.pop("spec", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, **more}
