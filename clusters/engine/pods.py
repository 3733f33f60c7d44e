"""How many GPUs a pod holds. Pure; broken input counts as nothing held.

The scheduler's rule: containers and sidecars run together, plain init containers run one at a
time before them (with the sidecars started so far), and the pod holds the larger of the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clusters.engine.raw import is_gpu_resource, sum_gpus, word
from clusters.engine.shapes import Container, Pod, PodSpec

_WORKSPACE_LABEL = "kaito.sh/workspace"
_TERMINAL = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class PodHold:
    """GPUs that one live pod holds (`node` set) or waits for (`node` empty)."""

    node: str
    name: str  # namespace/name
    gpus: int
    workspace: str  # KAITO workspace or ""


def read_hold(pod: Pod) -> PodHold | None:
    """What a pod holds, or None: it asks for no GPU, or is over (a terminating pod still holds)."""
    if pod.status.phase in _TERMINAL:
        return None
    gpus = gpu_request(pod.spec)
    if not gpus:
        return None
    return PodHold(
        node=word(pod.spec.node_name),
        name=f"{word(pod.metadata.namespace)}/{word(pod.metadata.name)}",
        gpus=gpus,
        workspace=word((pod.metadata.labels or {}).get(_WORKSPACE_LABEL)),
    )


def gpu_request(spec: PodSpec) -> int:
    """Effective GPU request of a pod spec."""
    sidecars = 0
    peak = 0
    for container in spec.init_containers or ():
        asked = _asked(container)
        if container.restart_policy == "Always":
            sidecars += asked
        else:
            peak = max(peak, asked + sidecars)
    return max(peak, sidecars + sum([_asked(c) for c in spec.containers or ()]))


def _asked(container: Container) -> int:
    resources = container.resources
    if resources is None:
        return 0
    # extended resources may name limits alone; requests then equal them
    requests = resources.requests or {}
    return sum_gpus(requests if _names_gpu(requests) else resources.limits)


def _names_gpu(resources: Iterable[str]) -> bool:
    return any(is_gpu_resource(name) for name in resources)
