"""A fleet in this process with a clock that tests turn: hours of actors in milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fleetsim import actors, scenario
from fleetsim.actors import Actors
from fleetsim.store import Clock, ClusterStore, Fleet

Obj = dict[str, Any]
NAMESPACE = "team-a"


class TurnedClock(Clock):
    """Stands still until a test turns it."""

    def __init__(self) -> None:
        super().__init__()
        self.time = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class Bench:
    """One fleet, its actors and its clock. Durations are in simulated seconds at speed 1."""

    def __init__(self, seed: int = 1) -> None:
        self.fleet = Fleet(seed=seed, speed=1.0)
        self.clock = TurnedClock()
        self.fleet.clock = self.clock
        self.actors: Actors = actors.of(self.fleet)

    def cluster(self, name: str = "c1", **spec: Any) -> ClusterStore:
        """A cluster with the team's namespace in it."""
        store = scenario.make_cluster(self.fleet, name, spec)
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self.actors.settle()
        return store

    def pass_time(self, seconds: float) -> None:
        """Turn the clock, stopping at every timer on the way."""
        end = self.clock.time + timedelta(seconds=seconds)
        self.actors.settle()
        while (due := self.actors.agenda.next_due()) is not None and due <= end:
            self.clock.time = max(due, self.clock.time)
            self.actors.settle()
        self.clock.time = end
        self.actors.settle()


def byo(**more: Any) -> dict[str, Any]:
    """Six L4 machines that people brought."""
    nodes = [{"instance_type": "g6.xlarge", "pool": "l4", "count": 6}]
    return {"mode": "byo", "provider": "aws", "region": "us-east-1", "nodes": nodes, **more}


def auto(**more: Any) -> dict[str, Any]:
    """A cluster whose provisioner makes A100 machines."""
    found = {"mode": "azure-gpu-provisioner", "provider": "azure", "region": "westeurope"}
    return {**found, "zones": ["1", "2", "3"], **more}


def config(name: str = "cfg", **vllm: str) -> Obj:
    """An inference_config.yaml ConfigMap."""
    lines = "".join(f'  {key.replace("_", "-")}: "{value}"\n' for key, value in vllm.items())
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"inference_config.yaml": f"vllm:\n{lines}" if lines else "vllm: {}\n"},
    }


def workspace(name: str = "phi", preset: str = "microsoft/Phi-4-mini-instruct", **more: Any) -> Obj:
    """A Workspace for either mode: pass instance_type for an auto-provisioning cluster."""
    resource: Obj = {"labelSelector": {"matchLabels": more.pop("selector", None) or L4}}
    if "instance_type" in more:
        resource["instanceType"] = more.pop("instance_type")
        resource["labelSelector"] = {"matchLabels": {"app": name}}
    inference: Obj = {"preset": {"name": preset}}
    if "config" in more:
        inference["config"] = more.pop("config")
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name, "namespace": NAMESPACE, **more},
        "resource": resource,
        "inference": inference,
    }


def inference_set(name: str = "chat", replicas: int = 2, **more: Any) -> Obj:
    """An InferenceSet whose template is `workspace(**more)`."""
    notes = more.pop("annotations", {})
    child = workspace(name, **more)
    resource = {k: v for k, v in child["resource"].items() if k == "instanceType"}
    template = {"resource": resource, "inference": child["inference"]}
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "InferenceSet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "labelSelector": child["resource"]["labelSelector"],
            "template": {**template, "metadata": {"annotations": notes}},
        },
    }


L4 = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"}


def service(name: str, selector: dict[str, str]) -> Obj:
    """The portal's own Service: port 80 to 5000."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": 5000}]},
    }


def condition(obj: Obj, kind: str) -> tuple[str, str]:
    """(status, reason) of a condition, ("", "") when it is not there."""
    for row in (obj.get("status") or {}).get("conditions") or ():
        if row["type"] == kind:
            return row["status"], row["reason"]
    return "", ""
