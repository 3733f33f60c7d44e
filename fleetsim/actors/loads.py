"""Which engines there were and are in a cluster, and who sent them clients: what telemetry is from.

Real engines and kubelets remember as much. Engines that are gone are kept for as long as a
Prometheus would (seven days), so that the past does not change when pods go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleetsim.actors import naming, timing
from fleetsim.actors.objects import Obj, labels, meta, notes_of
from fleetsim.load.demand import OUTPUT, PROMPT, Knob, Profile
from fleetsim.load.meter import Meter, Work
from fleetsim.load.noise import Ints, key
from fleetsim.runtimes.sheet import Sheet

if TYPE_CHECKING:
    from fleetsim.actors.member import Member
    from fleetsim.actors.models import Model

PAST_MS = 7 * 86_400_000
KEPT = 400
MOST = 12.0  # requests per second that an engine's API serves, however strong its cards
RUNTIME_NOTE = "fleetsim.dev/runtime"
CLIENTS_NOTE = "fleetsim.dev/clients"  # "none": nobody ever asked this Workspace anything
RUNTIMES = ("vllm", "sglang", "tgi", "triton", "kaito-transformers")
_HOURS_EAST = {
    "us-east": -5, "us-west": -8, "eastus": -5, "westus": -8, "ap-southeast": 8,
    "ap-northeast": 9, "eu-west": 0,
}  # fmt: skip


@dataclass(slots=True)
class Served:
    """One engine: who it is, and its meter. `model` is the served name."""

    uid: str
    namespace: str
    name: str
    node: str
    address: str
    container: str
    labels: dict[str, str]
    model: str
    runtime: str
    version: tuple[int, ...]
    meter: Meter

    @property
    def workspace(self) -> str:
        return self.labels.get(naming.WORKSPACE, "")

    def sheet(self, moments: Ints) -> Sheet:
        """Its numbers at these moments (ms since 1970)."""
        return self._sheet(self.meter.work(moments))

    def sheets(self, moments: Ints) -> list[Sheet]:
        """The same for each life by itself: their sums go on over restarts."""
        return [self._sheet(self.meter.work(moments, life)) for life in self.meter.lives]

    def _sheet(self, work: Work) -> Sheet:
        return Sheet(self.model, self.version, self.meter.profile, work)


@dataclass(slots=True)
class Loads:
    """The engines of one cluster by pod uid, and those that are gone."""

    engines: dict[str, Served] = field(default_factory=dict)
    gone: list[Served] = field(default_factory=list)
    firsts: dict[str, str] = field(default_factory=dict)  # deployment -> its first set's name

    def all(self) -> list[Served]:
        return [*self.gone, *self.engines.values()]


def millis(m: Member) -> int:
    """Now, in ms since 1970."""
    return int(m.now().timestamp() * 1000)


def offset(region: str) -> int:
    """Hours east of UTC of a cloud's region; Europe unless known."""
    return next((hours for part, hours in _HOURS_EAST.items() if region.startswith(part)), 1)


def profile(m: Member, pod: Obj, model: Model, cards: float) -> Profile:
    """Clients and strength of a pod's engine. `cards`: memory bandwidth of its GPUs in GB/s.

    Pods of one deployment share the size of the load and differ a little. What an engine can serve
    stays below the tokens that its benchmark finds.
    """
    group = _group(labels(pod))
    seed = m.store.fleet.seed
    rng = m.rng(f"demand/{group}")
    strength = cards / max(2.0, model.weights_gib) / 32
    capacity = min(MOST, 0.9 * timing.tokens(model, cards) / (PROMPT + OUTPUT))
    share = (0.22 + 0.25 * rng.random()) * (0.9 + 0.2 * m.rng(meta(pod)["name"]).random())
    return Profile(
        key(seed, m.store.name, meta(pod)["namespace"], group, meta(pod)["name"]),
        round(capacity * share, 4),
        round(capacity, 4),
        offset(m.spec.region),
        ttft=round(min(1.5, 0.05 + 0.25 / max(0.5, strength)), 4),
        itl=round(min(0.12, 0.006 + 0.02 / max(0.3, strength)), 5),
    )


def _group(found: dict[str, str]) -> str:
    """The deployment behind a pod's labels: its revisions have the same clients."""
    name = found.get(naming.CREATED_BY) or found.get(naming.WORKSPACE, "")
    return name.rsplit("-r", 1)[0]


def past_of(m: Member, found: dict[str, str], now: int) -> int | None:
    """Since when (ms) a pod with these labels counts as there: a week before the cluster for what
    comes first in a young story; None: since now.
    """
    if now - m.joined >= m.spec.past * 1000:
        return None
    own = found.get(naming.CREATED_BY) or found.get(naming.WORKSPACE, "")
    first = m.loads.firsts.setdefault(_group(found), own)
    return m.joined - PAST_MS if first == own else None


def runtime_of(m: Member, pod: Obj, workspace: Obj | None) -> str:
    """Which engine runs in the pod: a setting of the cluster, an annotation, KAITO's own word."""
    told = next((rule.runtime for rule in rules(m, pod) if rule.runtime), "")
    notes = notes_of(workspace) if workspace else {}
    told = told or notes.get(RUNTIME_NOTE, "")
    if told in RUNTIMES:
        return told
    return "kaito-transformers" if notes.get(naming.RUNTIME) == "transformers" else "vllm"


def rules(m: Member, pod: Obj) -> list[LoadRule]:
    """The cluster's load settings for a pod, in order."""
    name: str = labels(pod).get(naming.WORKSPACE) or meta(pod)["name"]
    return [rule for rule in m.spec.load if name.startswith(rule.match)]


@dataclass(frozen=True, slots=True)
class LoadRule:
    """Load of every Workspace whose name begins with `match` (empty: all): factors on its rate and
    latency, an extra share of errors (0..1), and which runtime new pods play.
    """

    match: str = ""
    rate: float = 1.0
    latency: float = 1.0
    errors: float = 0.0
    runtime: str = ""

    def __post_init__(self) -> None:
        if self.runtime and self.runtime not in RUNTIMES:
            raise ValueError(f"runtime {self.runtime!r} is not one of {', '.join(RUNTIMES)}")
        if not (0 <= self.rate <= 100 and 0.01 <= self.latency <= 100 and 0 <= self.errors <= 1):
            raise ValueError("load: rate 0..100, latency 0.01..100, errors 0..1")


def knob(m: Member, pod_labels: dict[str, str], name: str) -> Knob:
    """All matching settings together; an engine with the fault `slow` is slow in all it does."""
    workspace = pod_labels.get(naming.WORKSPACE, name)
    rate, latency, errors = 1.0, 1.0, 0.0
    for rule in m.spec.load:
        if workspace.startswith(rule.match):
            rate, latency = rate * rule.rate, latency * rule.latency
            errors = max(errors, rule.errors)
    slow = m.spec.fault("slow", workspace)
    return Knob(rate, latency / slow.factor if slow and slow.factor else latency, errors)


def begin(m: Member, served: Served) -> None:
    """An engine starts to serve. The first of a young story had been there for a week."""
    now = millis(m)
    known = m.loads.engines.get(served.uid)
    if known is None:
        m.loads.engines[served.uid] = known = served
    workspace = m.store.get("Workspace", served.namespace, served.workspace)
    notes = notes_of(workspace) if workspace else {}
    known.meter.begin(now, past_of(m, served.labels, now), notes.get(CLIENTS_NOTE) != "none")


def stop(m: Member, uid: str) -> None:
    """The process ended; its pod may start it again."""
    served = m.loads.engines.get(uid)
    if served is not None:
        served.meter.stop(millis(m))


def forget(m: Member, uid: str) -> None:
    """The pod is gone."""
    stop(m, uid)
    served = m.loads.engines.pop(uid, None)
    if served is not None:
        m.loads.gone = [*m.loads.gone, served][-KEPT:]


def send(m: Member, uid: str, on: bool) -> None:
    """Clients reach the engine from now on, or no longer."""
    served = m.loads.engines.get(uid)
    if served is not None:
        served.meter.send(on, millis(m), knob(m, served.labels, served.name))


def retune(m: Member) -> None:
    """After the load settings changed: engines with clients go on with the new ones."""
    for served in m.loads.engines.values():
        life = served.meter.current
        if life is not None and life.spans and life.spans[-1].end is None:
            served.meter.send(True, millis(m), knob(m, served.labels, served.name))
