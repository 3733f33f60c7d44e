"""Which pods are scraped, and for whom."""

from __future__ import annotations

import msgspec
import pytest

from clusters.engine.shapes import (
    Container,
    ContainerPort,
    Meta,
    Pod,
    PodSpec,
    PodStatus,
)
from clusters.engine.telemetry.targets import target_of
from clusters.engine.telemetry.types import Target


def pod(
    labels: dict[str, str] | None = None,
    *,
    name: str = "chat-abc-0",
    phase: str = "Running",
    container: str = "main",
    port: int = 0,
) -> Pod:
    ports = (ContainerPort(container_port=port),) if port else None
    return Pod(
        Meta(name=name, namespace="ml", uid="u1", labels=labels),
        PodSpec(node_name="n1", containers=(Container(name=container, ports=ports),)),
        PodStatus(phase=phase),
    )


WORKSPACE = {"kaito.sh/workspace": "chat-abc", "apps.kubernetes.io/pod-index": "0"}


def test_the_first_pod_of_a_set_is_scraped_at_kaitos_port_for_its_set() -> None:
    labels = WORKSPACE | {"inferenceset.kaito.sh/created-by": "chat"}
    assert target_of(pod(labels)) == Target(
        "serving", "ml", "chat-abc-0", "u1", "n1", 5000, "/metrics", "ml/chat"
    )


def test_a_workspace_of_no_set_is_its_own_subject() -> None:
    found = target_of(pod(WORKSPACE))
    assert found is not None and found.subject == "ml/chat-abc"


@pytest.mark.parametrize(
    "one",
    [
        pod(WORKSPACE | {"apps.kubernetes.io/pod-index": "1"}),
        pod({"kaito.sh/workspace": "c", "statefulset.kubernetes.io/pod-name": "c-1"}, name="c-1"),
        pod(WORKSPACE, phase="Pending"),
        pod(WORKSPACE, phase="Succeeded"),
        pod({"kaito.sh/workspace": "tune", "batch.kubernetes.io/job-name": "tune"}),
        pod({"app": "web"}, port=9400),
        pod(),
    ],
)
def test_other_pods_are_not_scraped(one: Pod) -> None:
    assert target_of(one) is None


def test_a_deployments_pod_without_an_index_is_scraped() -> None:
    found = target_of(pod({"kaito.sh/workspace": "c"}, name="c-6b7-x9"))
    assert found is not None and found.kind == "serving"


@pytest.mark.parametrize(
    ("one", "kind", "port"),
    [
        (pod({"app": "nvidia-dcgm-exporter"}), "dcgm", 9400),
        (pod({"app.kubernetes.io/name": "dcgm-exporter"}), "dcgm", 9400),
        (pod(container="dcgm-exporter", port=9400), "dcgm", 9400),
        (pod({"app.kubernetes.io/component": "hami-device-plugin"}, port=9394), "hami", 9394),
        (pod(container="vgpu-monitor"), "hami", 9394),
        (pod({"app.kubernetes.io/name": "amd-device-metrics-exporter"}), "amd", 5000),
        (pod({"app.kubernetes.io/name": "metrics-exporter"}), "amd", 5000),
    ],
)
def test_exporters_are_found_by_label_port_or_container(one: Pod, kind: str, port: int) -> None:
    found = target_of(one)
    assert found is not None and (found.kind, found.port, found.subject) == (kind, port, "")


def test_a_target_says_when_its_pod_began() -> None:
    def at(stamp: str | None, ahead: float = 0.0) -> float | None:
        status = PodStatus(phase="Running", start_time=stamp)
        found = target_of(msgspec.structs.replace(pod(WORKSPACE), status=status), ahead)
        assert found is not None
        return found.started

    assert at("1970-01-01T00:01:00Z") == 60.0
    assert at("1970-01-01T00:01:00.5+01:00") == 60.5 - 3600
    assert at("1970-01-01T00:01:00Z", ahead=45.0) == 15.0, "by a clock that runs ahead of ours"
    assert at(None) is None and at("soon") is None
    assert at("1970-01-01T00:01:00") is None and at("1970-01-01") is None, "of no time zone"
