"""The resource types a cluster serves: the built-in ones as a table, custom ones read from CRD
objects.

Pure descriptions. Nothing here holds objects or answers requests.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from fleetsim.coretypes import schema_of, with_metadata

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One resource type. `schema` is an OpenAPI v3 structural schema, exact for custom kinds and
    only what merging needs for built-in ones; `fields` are the paths its field selectors know.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    status: bool = False
    scale: dict[str, str] | None = None
    generation: bool = False
    custom: bool = False
    schema: dict[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    columns: tuple[dict[str, Any], ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`workspaces.kaito.sh`, or `pods` for the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def prefix(self) -> bytes:
        """The start of a serialised object: stored bodies leave apiVersion and kind out."""
        return f'{{"apiVersion":"{self.api_version}","kind":"{self.kind}",'.encode()


def _kind(group: str, plural: str, name: str, **more: Any) -> Kind:
    version = more.pop("version", "v1")
    short = tuple(more.pop("short", "").split())
    return Kind(group, version, plural, name, short_names=short, schema=schema_of(name), **more)


_EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.uid",
    "reason",
    "type",
)
_CRD_GROUP = "apiextensions.k8s.io"

BUILTIN: tuple[Kind, ...] = (
    _kind("", "namespaces", "Namespace", namespaced=False, status=True, short="ns",
          fields=("status.phase",)),
    _kind("", "nodes", "Node", namespaced=False, status=True, short="no",
          fields=("spec.unschedulable",)),
    _kind("", "pods", "Pod", status=True, short="po",
          fields=("spec.nodeName", "status.phase", "status.podIP")),
    _kind("", "services", "Service", status=True, short="svc"),
    _kind("", "configmaps", "ConfigMap", short="cm"),
    _kind("", "secrets", "Secret", fields=("type",)),
    _kind("", "events", "Event", short="ev", fields=_EVENT_FIELDS),
    _kind("", "serviceaccounts", "ServiceAccount", short="sa"),
    _kind("", "resourcequotas", "ResourceQuota", status=True, short="quota"),
    _kind("", "limitranges", "LimitRange", short="limits"),
    _kind("", "persistentvolumeclaims", "PersistentVolumeClaim", status=True, short="pvc"),
    _kind("apps", "statefulsets", "StatefulSet", status=True, generation=True, short="sts"),
    _kind("apps", "deployments", "Deployment", status=True, generation=True, short="deploy"),
    _kind("apps", "daemonsets", "DaemonSet", status=True, generation=True, short="ds"),
    _kind("apps", "controllerrevisions", "ControllerRevision"),
    _kind("discovery.k8s.io", "endpointslices", "EndpointSlice", generation=True),
    _kind("coordination.k8s.io", "leases", "Lease"),
    _kind("storage.k8s.io", "storageclasses", "StorageClass", namespaced=False, short="sc"),
    _kind(_CRD_GROUP, "customresourcedefinitions", "CustomResourceDefinition", namespaced=False,
          status=True, generation=True, short="crd crds"),
    _kind("admissionregistration.k8s.io", "validatingwebhookconfigurations",
          "ValidatingWebhookConfiguration", namespaced=False, generation=True),
)  # fmt: skip


def kinds_of_crd(crd: dict[str, Any]) -> list[Kind]:
    """The served versions of a CRD as kinds. Equal specs give the same (cached) result."""
    return _parse(orjson.dumps(crd["spec"], option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=256)
def _parse(spec_json: bytes) -> list[Kind]:
    spec = orjson.loads(spec_json)
    return [_version(spec, entry) for entry in spec["versions"] if entry.get("served", True)]


def _version(spec: dict[str, Any], entry: dict[str, Any]) -> Kind:
    names = spec["names"]
    subresources = entry.get("subresources") or {}
    return Kind(
        spec["group"],
        entry["name"],
        names["plural"],
        names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames", ())),
        status="status" in subresources,
        scale=subresources.get("scale"),
        generation=True,
        custom=True,
        schema=with_metadata((entry.get("schema") or {}).get("openAPIV3Schema") or {}),
        columns=tuple(entry.get("additionalPrinterColumns") or ()),
        categories=tuple(names.get("categories", ())),
    )
