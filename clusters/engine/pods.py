"""How many GPUs a pod holds, from its raw JSON. Pure; broken input counts as nothing held.

The scheduler's rule: containers and sidecars run together, plain init containers run one at a
time before them (with the sidecars started so far), and the pod holds the larger of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clusters.engine.raw import is_gpu_resource, mapping, mappings, sum_gpus, text

_WORKSPACE_LABEL = "kaito.sh/workspace"
_TERMINAL = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class PodHold:
    """GPUs that one live pod holds (`node` set) or waits for (`node` empty)."""

    node: str
    name: str  # namespace/name
    gpus: int
    workspace: str  # KAITO workspace or ""


def read_hold(pod: Mapping[str, object]) -> PodHold | None:
    """What a pod holds, or None: it asks for no GPU, or is over (a terminating pod still holds)."""
    metadata, spec = mapping(pod.get("metadata")), mapping(pod.get("spec"))
    if text(mapping(pod.get("status")).get("phase")) in _TERMINAL:
        return None
    gpus = gpu_request(spec)
    if not gpus:
        return None
    return PodHold(
        node=text(spec.get("nodeName")),
        name=f"{text(metadata.get('namespace'))}/{text(metadata.get('name'))}",
        gpus=gpus,
        workspace=text(mapping(metadata.get("labels")).get(_WORKSPACE_LABEL)),
    )


def gpu_request(spec: Mapping[str, object]) -> int:
    """Effective GPU request of a pod spec."""
    sidecars = 0
    peak = 0
    for container in mappings(spec.get("initContainers")):
        asked = _asked(container)
        if container.get("restartPolicy") == "Always":
            sidecars += asked
        else:
            peak = max(peak, asked + sidecars)
    together = sidecars + sum(_asked(c) for c in mappings(spec.get("containers")))
    return max(peak, together)


def _asked(container: Mapping[str, object]) -> int:
    resources = mapping(container.get("resources"))
    requests = mapping(resources.get("requests"))
    # extended resources may name limits alone; requests then equal them
    return sum_gpus(requests if _names_gpu(requests) else resources.get("limits"))


def _names_gpu(resources: Mapping[str, object]) -> bool:
    return any(is_gpu_resource(name) for name in resources)
