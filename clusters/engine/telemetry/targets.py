"""Which pods are scraped, by which port, and whose numbers theirs are. Pure.

KAITO serves the API and its metrics on container port 5000 of the first pod of a Workspace; the
other pods of a multi-node one have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clusters.engine.pods import started_at
from clusters.engine.shapes import Container, Pod
from clusters.engine.telemetry.types import Target

WORKSPACE = "kaito.sh/workspace"
SET = "inferenceset.kaito.sh/created-by"
_INDEX = "apps.kubernetes.io/pod-index"
_NAMES = ("app.kubernetes.io/name", "app", "app.kubernetes.io/component", "k8s-app")
_JOBS = ("batch.kubernetes.io/job-name", "job-name")  # tuning, not serving
_SERVING_PORT, _DCGM_PORT, _HAMI_PORT, _AMD_PORT = 5000, 9400, 9394, 5000
_DCGM = frozenset({"nvidia-dcgm-exporter", "dcgm-exporter"})
_AMD = ("device-metrics-exporter", "amdgpu-metrics-exporter", "metrics-exporter")
_PATH = "/metrics"


def target_of(pod: Pod, ahead: float = 0.0) -> Target | None:
    """Where the pod's metrics are; None when it has none for us, or does not run.

    `ahead`: seconds that the cluster's clock is ahead of ours.
    """
    if pod.status.phase != "Running":
        return None
    labels = pod.metadata.labels or {}
    subject = subject_of(pod)
    if subject:
        serves = _leads(pod, labels)
        return _target(pod, ahead, "serving", _SERVING_PORT, subject) if serves else None
    names = {labels.get(key, "") for key in _NAMES}
    if names & _DCGM or (_port(pod, _DCGM_PORT) and _named(pod, "dcgm")):
        return _target(pod, ahead, "dcgm", _port(pod, _DCGM_PORT) or _DCGM_PORT)
    if _port(pod, _HAMI_PORT) or _named(pod, "vgpu-monitor"):
        return _target(pod, ahead, "hami", _HAMI_PORT)
    if any(name.endswith(_AMD) for name in names):
        return _target(pod, ahead, "amd", _AMD_PORT)
    return None


def subject_of(pod: Pod) -> str:
    """namespace/name of the object that we applied and the pod serves; "" for other pods."""
    labels = pod.metadata.labels or {}
    name = labels.get(SET) or labels.get(WORKSPACE)
    return f"{pod.metadata.namespace}/{name}" if name else ""


def _leads(pod: Pod, labels: Mapping[str, str]) -> bool:
    """Pod 0 of a StatefulSet, by label or (before Kubernetes 1.28) by name; any of a Deployment."""
    if any(key in labels for key in _JOBS):
        return False
    index = labels.get(_INDEX)
    if index is None and "statefulset.kubernetes.io/pod-name" in labels:
        index = pod.metadata.name.rpartition("-")[2]
    return index in (None, "0")


def _target(pod: Pod, ahead: float, kind: str, port: int, subject: str = "") -> Target:
    meta = pod.metadata
    return Target(
        kind=kind,
        namespace=meta.namespace,
        pod=meta.name,
        uid=meta.uid,
        node=pod.spec.node_name,
        port=port,
        path=_PATH,
        subject=subject,
        started=started_at(pod, ahead),
    )


def _containers(pod: Pod) -> Iterable[Container]:
    return pod.spec.containers or ()


def _port(pod: Pod, port: int) -> int:
    """The port, when a container has it; else 0."""
    ports = (held.container_port for one in _containers(pod) for held in one.ports or ())
    return port if port in ports else 0


def _named(pod: Pod, part: str) -> bool:
    return any(part in one.name for one in _containers(pod))
