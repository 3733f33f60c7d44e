"""The Kubernetes kinds that the portal reads or writes, and the paths that lead to them.

There is no generic proxy: every path is put together here from checked names, so nothing a user or
a cluster says can lead elsewhere on an API server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from clusters.gateway.errors import Cause, Invalid

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[a-z0-9-]{1,15}")
_PROXY_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,100}){1,8}")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in the one version that the portal uses."""

    name: str
    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "") -> str:
        """Where objects of this kind are listed. No namespace: over all of them."""
        parts = ["apis", self.group] if self.group else ["api"]
        parts.append(self.version)
        if namespace and self.namespaced:
            parts += ["namespaces", checked(namespace, "namespace", _NAMESPACE)]
        return "/" + "/".join([*parts, self.plural])

    def object_path(self, namespace: str, name: str) -> str:
        """Where one object is. `namespace` is ignored for kinds that have none.

        Raises Invalid for a missing name, and for one that Kubernetes would not allow either.
        """
        if self.namespaced:
            checked(namespace, "namespace", _NAMESPACE)
        return f"{self.path(namespace)}/{checked(name, 'name', _NAME)}"


def checked(value: str, field: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(value):
        message = f"{value[:80]!r} is not a Kubernetes {field}."
        raise Invalid(message, causes=(Cause(f"metadata.{field}", message),))
    return value


NAMESPACE = Kind("Namespace", "", "v1", "namespaces", namespaced=False)
NODE = Kind("Node", "", "v1", "nodes", namespaced=False)
POD = Kind("Pod", "", "v1", "pods")
SERVICE = Kind("Service", "", "v1", "services")
CONFIG_MAP = Kind("ConfigMap", "", "v1", "configmaps")
SECRET = Kind("Secret", "", "v1", "secrets")
EVENT = Kind("Event", "", "v1", "events")
RESOURCE_QUOTA = Kind("ResourceQuota", "", "v1", "resourcequotas")
STATEFUL_SET = Kind("StatefulSet", "apps", "v1", "statefulsets")
DEPLOYMENT = Kind("Deployment", "apps", "v1", "deployments")
ENDPOINT_SLICE = Kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices")
WORKSPACE = Kind("Workspace", "kaito.sh", "v1beta1", "workspaces")
INFERENCE_SET = Kind("InferenceSet", "kaito.sh", "v1beta1", "inferencesets")
NODE_CLAIM = Kind("NodeClaim", "karpenter.sh", "v1", "nodeclaims", namespaced=False)
NODE_POOL = Kind("NodePool", "karpenter.sh", "v1", "nodepools", namespaced=False)
RESOURCE_SLICE = Kind("ResourceSlice", "resource.k8s.io", "v1", "resourceslices", namespaced=False)
RESOURCE_CLAIM = Kind("ResourceClaim", "resource.k8s.io", "v1", "resourceclaims")
CRD = Kind(
    "CustomResourceDefinition",
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    namespaced=False,
)
VALIDATING_WEBHOOK = Kind(
    "ValidatingWebhookConfiguration",
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    namespaced=False,
)
ACCESS_REVIEW = Kind(
    "SelfSubjectAccessReview",
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    namespaced=False,
)

KINDS: dict[tuple[str, str], Kind] = {
    (kind.api_version, kind.name): kind
    for kind in (
        NAMESPACE,
        NODE,
        POD,
        SERVICE,
        CONFIG_MAP,
        SECRET,
        EVENT,
        RESOURCE_QUOTA,
        STATEFUL_SET,
        DEPLOYMENT,
        ENDPOINT_SLICE,
        WORKSPACE,
        INFERENCE_SET,
        NODE_CLAIM,
        NODE_POOL,
        CRD,
        VALIDATING_WEBHOOK,
    )
}
BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS.values()}


def kind_of(api_version: object, name: object) -> Kind:
    """The kind of an object to be written. Raises Invalid for one that the portal never writes."""
    found = KINDS.get((str(api_version), str(name)))
    if found is None:
        raise Invalid(
            f"{str(api_version)[:80]} {str(name)[:80]} is not a kind that is written here."
        )
    return found


def service_proxy_path(namespace: str, service: str, port: int | str, path: str) -> str:
    """The proxy path to one HTTP path of a Service."""
    target = f"{checked(service, 'name', _NAME)}:{checked(str(port), 'port', _PORT)}"
    base = SERVICE.path(checked(namespace, "namespace", _NAMESPACE))
    return f"{base}/{target}/proxy{checked(path, 'path', _PROXY_PATH)}"


def pod_proxy_path(namespace: str, pod: str, port: int, path: str) -> str:
    """The proxy path to one HTTP path of a pod."""
    target = f"{checked(pod, 'name', _NAME)}:{checked(str(port), 'port', _PORT)}"
    base = POD.path(checked(namespace, "namespace", _NAMESPACE))
    return f"{base}/{target}/proxy{checked(path, 'path', _PROXY_PATH)}"


def with_query(path: str, **parameters: str | int | bool | None) -> str:
    """`path` with the parameters that have a value; Kubernetes spells booleans in lower case."""
    pairs = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in parameters.items()
        if value is not None and value != ""
    }
    return f"{path}?{urlencode(pairs)}" if pairs else path


def watch_path(
    kind: Kind, resource_version: str, namespace: str, selector: str, timeout_seconds: int
) -> str:
    """A watch that starts after `resource_version`, with bookmarks."""
    return with_query(
        kind.path(namespace),
        watch=True,
        resourceVersion=resource_version,
        allowWatchBookmarks=True,
        timeoutSeconds=timeout_seconds,
        labelSelector=selector,
    )
