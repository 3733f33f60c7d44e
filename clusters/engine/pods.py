"""How many GPUs a pod holds. Pure; what cannot be read counts as all that a node has, not as none.

The scheduler's rule: containers and sidecars run together, plain init containers run one at a
time before them (with the sidecars started so far), and the pod holds the larger of the two.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clusters.engine.accelerators import ALL_OF_IT, counts, is_accelerator
from clusters.engine.hami import Held, held_by
from clusters.engine.raw import moment, word
from clusters.engine.shapes import Container, Pod, PodSpec

WORKSPACE_LABEL = "kaito.sh/workspace"
_TERMINAL = frozenset({"Succeeded", "Failed"})
_NOTHING: Mapping[str, int] = {}


class PodHold(msgspec.Struct, frozen=True):
    """What one live pod holds (`node` set) or waits for (`node` empty).

    `asks`: units by resource; `parts`: what HAMi gave it of which cards; `started` None: its node
    has not taken it up yet.
    """

    node: str
    name: str  # namespace/name
    workspace: str  # KAITO workspace or ""
    asks: Mapping[str, int]
    parts: tuple[Held, ...] = ()
    started: float | None = None  # unix seconds by our clock

    @property
    def units(self) -> int:
        return min(ALL_OF_IT, sum(self.asks.values()))


def concerns_gpus(pod: Pod) -> bool:
    """Whether the inventory has to know of this pod: others need not be kept."""
    spec, annotations = pod.spec, pod.metadata.annotations
    if spec.resource_claims or (annotations and any("-devices-" in key for key in annotations)):
        return True
    return any(
        is_accelerator(name)
        for container in (*(spec.containers or ()), *(spec.init_containers or ()))
        if container.resources
        for named in (container.resources.requests, container.resources.limits)
        for name in named or ()
    )


def read_hold(pod: Pod, ahead: float = 0.0) -> PodHold | None:
    """What a pod holds, or None: it asks for no GPU, or is over (a terminating pod still holds).

    `ahead`: as in `started_at`.
    """
    if pod.status.phase in _TERMINAL:
        return None
    asks = gpu_requests(pod.spec)
    annotations = pod.metadata.annotations
    parts = held_by(annotations) if annotations else ()
    if not asks and not parts:
        return None
    started = started_at(pod, ahead)
    return PodHold(word(pod.spec.node_name), pod_name(pod), workspace_of(pod), asks, parts, started)


def started_at(pod: Pod, ahead: float = 0.0) -> float | None:
    """When its node took it up, in unix seconds; None: not yet. `ahead`: seconds that the
    cluster's clock is ahead of ours."""
    found = moment(pod.status.start_time)
    return None if found is None else found - ahead


def pod_name(pod: Pod) -> str:
    return f"{word(pod.metadata.namespace)}/{word(pod.metadata.name)}"


def workspace_of(pod: Pod) -> str:
    return word((pod.metadata.labels or _NOTHING).get(WORKSPACE_LABEL))


def gpu_requests(spec: PodSpec) -> Mapping[str, int]:
    """Effective request of a pod spec, by resource; only what is not 0."""
    if not spec.init_containers:
        asks = [asked for container in spec.containers or () if (asked := _asked(container))]
        if len(asks) < 2:  # nearly every pod
            return asks[0] if asks else _NOTHING
    together: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.init_containers or ():
        asked = _asked(container)
        if container.restart_policy == "Always":
            _add(together, asked)
        else:
            for name, count in asked.items():
                peak[name] = max(peak.get(name, 0), count + together.get(name, 0))
    for container in spec.containers or ():
        _add(together, _asked(container))
    return {n: max(peak.get(n, 0), together.get(n, 0)) for n in peak.keys() | together.keys()}


def _add(total: dict[str, int], asked: Mapping[str, int]) -> None:
    for name, count in asked.items():
        total[name] = min(ALL_OF_IT, total.get(name, 0) + count)


def _asked(container: Container) -> Mapping[str, int]:
    """Extended resources may name limits alone; requests then equal them."""
    resources = container.resources
    if resources is None:
        return _NOTHING
    found = counts(resources.requests) or counts(resources.limits)
    if not found:
        return _NOTHING
    return {n: ALL_OF_IT if c is None else c for n, c in found.items() if c != 0}
