"""Exporters, the Prometheus of a cluster, runtimes by setting: what a portal reads of a cluster."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from fleetsim import scenario
from fleetsim.store import ApiError, ClusterStore, Response
from tests.actorbench import NAMESPACE, Bench, auto, byo, inference_set, service, workspace

Obj = dict[str, Any]
SELECTOR = {"inferenceset.kaito.sh/created-by": "chat", "apps.kubernetes.io/pod-index": "0"}
HOUR, DAY = 3600, 86400


class World:
    """One cluster with exporters and a Prometheus."""

    def __init__(self, **spec: Any) -> None:
        self.bench = Bench()
        self.store: ClusterStore = self.bench.cluster(**{**byo(exporters=True, past=600), **spec})

    def serve(self, replicas: int = 1, seconds: float = 600, **body: Any) -> None:
        self.store.apply(inference_set(replicas=replicas, **body), manager="fleetportal")
        self.bench.pass_time(400)
        self.store.create(service("assist-chat", SELECTOR))
        self.bench.pass_time(seconds)

    def pods(self, namespace: str) -> list[Obj]:
        return self.store.list("Pod", namespace)

    def ask(
        self, pod: Obj, port: int, path: str, method: str = "GET", body: bytes = b""
    ) -> Response:
        handler = self.bench.fleet.proxy_handler
        assert handler is not None
        return handler(self.store, pod, port, method, path, {}, body)

    def text(self, pod: Obj, port: int) -> str:
        return self.ask(pod, port, "/metrics").body.decode()

    @property
    def now(self) -> float:
        return self.bench.clock.time.timestamp()

    def api(self, route: str, **parameters: Any) -> tuple[int, Any]:
        pod = self.store.get("Pod", "monitoring", "prometheus-0")
        assert pod is not None
        path = f"/api/v1/{route}?{urlencode(parameters, doseq=True)}"
        answer = self.ask(pod, 9090, path)
        return answer.status, orjson.loads(answer.body)

    def query(self, text: str, at: float | None = None) -> list[Obj]:
        status, body = self.api("query", query=text, time=self.now if at is None else at)
        assert status == 200, body
        return list(body["data"]["result"])

    def value(self, text: str, at: float | None = None) -> float:
        (row,) = self.query(text, at)
        return float(row["value"][1])


def samples(text: str, name: str) -> dict[str, float]:
    """Labels as text -> value."""
    rows = re.findall(rf"^{re.escape(name)}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in rows}


# --- exporters ------------------------------------------------------------------------------------


def test_every_ready_gpu_node_has_one_exporter_that_holds_no_gpu() -> None:
    world = World()
    pods = world.pods("gpu-operator")
    nodes = {node["metadata"]["name"] for node in world.store.list("Node")}
    assert {pod["spec"]["nodeName"] for pod in pods} == nodes and len(pods) == 6
    (container,) = pods[0]["spec"]["containers"]
    assert pods[0]["metadata"]["labels"]["app"] == "nvidia-dcgm-exporter"
    assert container["ports"] == [{"name": "metrics", "containerPort": 9400, "protocol": "TCP"}]
    assert container["resources"] == {} and pods[0]["status"]["phase"] == "Running"


def test_without_being_asked_a_cluster_has_no_exporters() -> None:
    world = World(exporters=False)
    assert world.pods("gpu-operator") == [] and world.pods("monitoring") == []


def test_exporters_come_and_go_with_created_nodes() -> None:
    world = World(**auto(nodes=[]))
    body = workspace(instance_type="Standard_NC24ads_A100_v4")
    world.store.apply(body, manager="fleetportal")
    world.bench.pass_time(900)
    (pod,) = world.pods("gpu-operator")
    assert "DCGM_FI_DEV_GPU_UTIL" in world.text(pod, 9400)
    world.store.delete("Workspace", NAMESPACE, "phi")
    world.bench.pass_time(900)
    assert world.store.list("Node") == [] and world.pods("gpu-operator") == []


def busy() -> World:
    """Eight-card nodes: one trains, one computes by the hour, one is somebody's notebook."""
    row = {"instance_type": "p5.48xlarge", "pool": "h", "count": 3, "used": [8, 3, 2]}
    return World(provider="aws", nodes=[row])


def test_dcgm_names_its_cards_and_who_holds_them() -> None:
    world = busy()
    text = next(
        found for pod in world.pods("gpu-operator")
        if "train-ranker" in (found := world.text(pod, 9400))
    )  # fmt: skip
    util = samples(text, "DCGM_FI_DEV_GPU_UTIL")
    assert len(util) == 8 and all(80 <= value <= 100 for value in util.values())
    for labels in util:
        for key in ("gpu=", "UUID=", "pci_bus_id=", "device=", "modelName=", "hostname="):
            assert key in labels
        assert 'namespace="ml-platform",pod="train-ranker-h-0"' in labels
    used, free, kept = (
        sum(samples(text, f"DCGM_FI_DEV_FB_{part}").values()) / 8
        for part in ("USED", "FREE", "RESERVED")
    )
    assert abs(used + free + kept - 81559) < 10 and used > 60000
    assert all(0 <= v <= 1 for v in samples(text, "DCGM_FI_PROF_DRAM_ACTIVE").values())
    assert set(samples(text, "DCGM_FI_DEV_XID_ERRORS").values()) == {0.0}


def test_an_old_cluster_writes_hostname_with_a_capital_and_free_cards_without_pod() -> None:
    world = World(kaito_version="0.10.0")
    text = world.text(world.pods("gpu-operator")[0], 9400)
    assert 'Hostname="' in text and "hostname=" not in text.replace("Hostname=", "")
    assert "pod=" not in text


def test_idle_cards_stay_idle_for_hours() -> None:
    world = busy()
    rows = world.query('max_over_time(DCGM_FI_DEV_GPU_UTIL{exported_pod=""}[6h])')
    assert len(rows) == 11 and {row["value"][1] for row in rows} == {"0"}


def test_cards_follow_the_engine_on_them() -> None:
    world = World()
    world.serve(seconds=10)
    (pod,) = world.pods(NAMESPACE)
    text = f'DCGM_FI_DEV_GPU_UTIL{{exported_pod="{pod["metadata"]["name"]}"}}'
    world.bench.pass_time(600)
    assert world.value(text) > 20
    world.store.delete("Service", NAMESPACE, "assist-chat")
    world.bench.pass_time(60)
    assert world.value(text) == 0


def test_a_broken_card_shows_its_xid_and_works_no_more() -> None:
    note = {"fleetsim.dev/xid": "3:48:7200", "fleetsim.dev/hot": "yes"}
    row = {"instance_type": "p5.48xlarge", "pool": "h", "used": [7], "annotations": note}
    world = World(nodes=[row])
    text = world.text(world.pods("gpu-operator")[0], 9400)
    xid = samples(text, "DCGM_FI_DEV_XID_ERRORS")
    assert [value for labels, value in xid.items() if 'gpu="3"' in labels] == [48.0]
    util = samples(text, "DCGM_FI_DEV_GPU_UTIL")
    assert [value for labels, value in util.items() if 'gpu="3"' in labels] == [0.0]
    broken = 'DCGM_FI_DEV_XID_ERRORS{gpu="3"}'
    assert (
        world.value(broken, world.now - 7100) == 48 and world.value(broken, world.now - 7300) == 0
    )
    heat = samples(text, "DCGM_FI_DEV_GPU_TEMP")
    assert min(heat.values()) >= 42  # a hot aisle


def test_hami_says_what_is_shared_in_annotations_and_in_its_monitor() -> None:
    row = {"instance_type": "g6.12xlarge", "pool": "l4", "hami": 10, "used": [6]}
    world = World(nodes=[row])
    (node,) = world.store.list("Node")
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "40"
    register = orjson.loads(node["metadata"]["annotations"]["hami.io/node-nvidia-register"])
    assert [(card["count"], card["devmem"]) for card in register] == [(10, 23034)] * 4
    shared = [
        p for p in world.pods("ml-platform") if "hami.io/vgpu-node" in p["metadata"]["annotations"]
    ]
    assert len(shared) == 6
    (monitor,) = world.pods("kube-system")
    text = world.text(monitor, 9394)
    used = samples(text, "hami_vgpu_memory_used_bytes")
    assert len(used) == 6 and register[0]["id"] in "".join(used)
    assert len(samples(text, "hami_host_gpu_utilization_ratio")) == 4


# --- runtimes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runtime", "name", "port"),
    [
        ("sglang", "sglang:num_requests_total", 30000),
        ("tgi", "tgi_request_count", 80),
        ("triton", "nv_inference_request_success", 8002),
    ],
)
def test_a_setting_chooses_the_runtime_of_new_pods(runtime: str, name: str, port: int) -> None:
    world = World(load=[{"match": "chat", "runtime": runtime}])
    world.serve()
    (pod,) = world.pods(NAMESPACE)
    text = world.text(pod, 5000)
    assert sum(samples(text, name).values()) > 0 and "vllm:" not in text
    assert text == world.text(pod, port)
    assert world.value(f"sum(rate({name}[5m]))") > 0


def test_an_annotation_chooses_the_runtime_of_one_workspace() -> None:
    world = World()
    body = workspace(annotations={"fleetsim.dev/runtime": "sglang"})
    world.store.apply(body, manager="fleetportal")
    world.bench.pass_time(400)
    assert "sglang:num_running_reqs" in world.text(world.pods(NAMESPACE)[0], 5000)


def test_kaitos_transformers_runtime_answers_json_without_any_request_metric() -> None:
    world = World(load=[{"runtime": "kaito-transformers"}])
    world.serve()
    answer = world.ask(world.pods(NAMESPACE)[0], 5000, "/metrics")
    assert answer.content_type == "application/json"
    (card,) = orjson.loads(answer.body)["gpu_info"]
    assert card["load"].endswith("%") and card["memory"]["used"] == "0.00 GB"


def test_knobs_make_a_deployment_slower_and_failing_from_now_on() -> None:
    world = World()
    world.serve()
    quantile = (
        "histogram_quantile(0.5, sum by (le) (rate(vllm:e2e_request_latency_seconds_bucket[5m])))"
    )
    asked = 'sum(increase(http_requests_total{handler!="/metrics"}[20m]))'
    share = asked.replace("{", '{status="5xx",') + " / " + asked
    before, at = world.value(quantile), world.now
    rule = {"match": "chat", "latency": 3.0, "errors": 0.4}
    scenario.change(world.bench.fleet, "c1", {"load": [rule]})
    world.bench.pass_time(1800)
    assert world.value(quantile) > 2 * before and world.value(share) > 0.3
    assert world.value(quantile, at) == before


def test_a_bad_load_setting_is_named() -> None:
    with pytest.raises(ApiError, match="runtime 'llama'"):
        World(load=[{"runtime": "llama"}])
    with pytest.raises(ApiError, match="errors 0"):
        World(load=[{"errors": 2}])


# --- Prometheus -----------------------------------------------------------------------------------


def test_prometheus_and_a_scrape_agree_on_every_sample() -> None:
    world = World()
    world.serve(replicas=2)
    for pod in world.pods(NAMESPACE):
        text = world.text(pod, 5000)
        for line in text.splitlines():
            name, labels, value = re.fullmatch(r"([^{ ]+)(?:{(.*)})? (\S+)|#.*", line).groups()  # type: ignore[union-attr]
            if name is None:
                continue
            matchers = ",".join(filter(None, [labels, f'pod="{pod["metadata"]["name"]}"']))
            assert world.value(f"{name}{{{matchers}}}") == pytest.approx(float(value)), line


def test_prometheus_and_an_exporter_agree() -> None:
    world = busy()
    for pod in world.pods("gpu-operator"):
        for name in ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"):
            told = sorted(samples(world.text(pod, 9400), name).values())
            rows = world.query(f'{name}{{node="{pod["spec"]["nodeName"]}"}}')
            assert sorted(float(row["value"][1]) for row in rows) == told


def test_series_carry_the_labels_of_pods_and_nodes() -> None:
    world = World()
    world.serve()
    (row,) = world.query("vllm:num_requests_running")
    (pod,) = world.pods(NAMESPACE)
    labels = row["metric"]
    assert labels["pod"] == pod["metadata"]["name"] and labels["namespace"] == NAMESPACE
    assert labels["kaito_sh_workspace"] == pod["metadata"]["labels"]["kaito.sh/workspace"]
    assert labels["node"] == pod["spec"]["nodeName"] and labels["__name__"].startswith("vllm:")


def test_a_young_story_has_a_week_behind_it_and_others_have_not() -> None:
    told, honest = World(), World(past=0)
    for world in (told, honest):
        world.serve()
    text = "sum(rate(vllm:generation_tokens_total[5m]))"
    assert told.value(text, told.now - 5 * DAY) > 0
    assert honest.query(text, honest.now - 5 * DAY) == []
    assert told.query(text, told.now - 8 * DAY) == []
    for world in (told, honest):  # seeded cards were there before either
        assert world.value("count(DCGM_FI_DEV_GPU_UTIL)", world.now - 5 * DAY) == 6


def test_the_past_is_the_same_when_it_is_asked_later() -> None:
    world = World()
    world.serve(replicas=2)
    texts = (
        "sum by (pod) (vllm:prompt_tokens_total)",
        "sum by (node) (DCGM_FI_DEV_POWER_USAGE)",
        "sum(rate(vllm:request_success_total[5m]))",
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    )
    moments = [world.now - back for back in (0, 100, HOUR, DAY, 6 * DAY)]
    before = [world.query(text, at) for text in texts for at in moments]
    world.store.delete("InferenceSet", NAMESPACE, "chat")
    world.bench.pass_time(HOUR)
    assert world.query("vllm:num_requests_running") == []
    assert [world.query(text, at) for text in texts for at in moments] == before


def test_nothing_is_told_of_the_future() -> None:
    world = busy()
    assert world.query("up", world.now + 200) != [] and world.query("up", world.now + 400) == []


def test_a_range_has_a_point_for_each_step() -> None:
    world = busy()
    start = world.now - DAY
    status, body = world.api(
        "query_range", query="avg(DCGM_FI_DEV_GPU_UTIL)", start=start, end=world.now, step="5m"
    )
    (row,) = body["data"]["result"]
    assert status == 200 and body["data"]["resultType"] == "matrix" and len(row["values"]) == 289
    assert row["values"][0][0] == start and len({value for _, value in row["values"]}) > 20


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"query": "up", "start": 0, "end": 110_011, "step": 10}, "11,000 points"),
        ({"query": "up", "start": 10, "end": 1, "step": 1}, "must not be before"),
        ({"query": "up", "start": 1, "end": 2, "step": 0}, "step"),
        ({"query": "up", "start": "x", "end": 2, "step": 1}, "start"),
        ({"query": "", "start": 1, "end": 2, "step": 1}, "no expression"),
    ],
)
def test_a_bad_range_is_a_400(parameters: Obj, words: str) -> None:
    status, body = World(nodes=[]).api("query_range", **parameters)
    assert (status, body["status"], body["errorType"]) == (400, "error", "bad_data")
    assert words in body["error"]


@pytest.mark.parametrize(
    "text",
    [
        "topk(3, up)", "up offset 5m", "up[5m]", "predict_linear(up[1h], 3600)", "up > 1",
        "rate(up)", "sum(rate(up[5m])", "{}", '{a=""}', "up{a=~\"(\"}", "label_replace(up)",
        "up unless up", "up[5m:1m]", "x{a}", "quantile(0.5, up)", "1 +", "sum by (a (up)",
        "(" * 60 + "1" + ")" * 60, "up ^ 2", "\x00", "up @ 5",
    ],
)  # fmt: skip
def test_an_expression_that_is_not_known_is_refused_and_never_guessed(text: str) -> None:
    status, body = World(nodes=[]).api("query", query=text)
    assert (status, body["status"], body["errorType"]) == (422, "error", "execution")


def test_arithmetic_joins_by_labels() -> None:
    world = busy()
    used, total = "sum by (node) (DCGM_FI_DEV_FB_USED)", "sum by (node) (DCGM_FI_DEV_FB_FREE)"
    rows = world.query(f"100 * {used} / ({used} + {total})")
    assert len(rows) == 3 and all(0 <= float(row["value"][1]) <= 100 for row in rows)
    assert {tuple(row["metric"]) for row in rows} == {("node",)}
    assert world.query("sum(up) / sum(nothing_of_the_kind)") == []
    assert world.value("sum(nothing_of_the_kind) or vector(7)") == 7
    assert world.value("2 + 3 * 4 - 6 / 2 - sum(up) / sum(up)") == 10


def test_labels_series_and_values_list_what_there_is() -> None:
    world = busy()
    names = world.api("label/__name__/values")[1]["data"]
    assert "DCGM_FI_DEV_GPU_UTIL" in names and "up" in names
    assert "exported_pod" in world.api("labels")[1]["data"]
    found = world.api("series", **{"match[]": 'up{job="nvidia-dcgm-exporter"}'})[1]["data"]
    assert len(found) == 3 and found[0]["__name__"] == "up"
    assert world.api("series")[0] == 400


def test_a_query_may_come_in_the_body() -> None:
    world = busy()
    pod = world.store.get("Pod", "monitoring", "prometheus-0")
    assert pod is not None
    answer = world.ask(
        pod, 9090, "/api/v1/query", "POST", urlencode({"query": "count(up)"}).encode()
    )
    assert orjson.loads(answer.body)["data"]["result"][0]["value"][1] == "3"


def test_times_may_be_written_as_rfc_3339() -> None:
    world = busy()
    stamp = (world.bench.clock.time - timedelta(hours=1)).isoformat()
    (row,) = world.api("query", query="count(up)", time=stamp)[1]["data"]["result"]
    assert row["value"][0] == world.now - HOUR


def test_an_increase_is_the_difference_of_what_scrapes_showed() -> None:
    world = World()
    world.serve(seconds=60)
    text = "sum(vllm:request_success_total)"
    before, start = world.value(text), world.now
    world.bench.pass_time(900)
    window = f"{round(world.now - start)}s"
    increase = world.value(f"sum(increase(vllm:request_success_total[{window}]))")
    assert increase == world.value(text) - before > 0


def test_only_the_first_revision_of_a_story_has_a_past() -> None:
    world = World()
    for name in ("notes-r1-aaaa", "notes-r2-bbbb"):
        world.store.apply(inference_set(name, replicas=1), manager="fleetportal")
    world.bench.pass_time(400)
    rows = world.query("vllm:num_requests_running", world.now - DAY)
    assert {row["metric"]["inferenceset_kaito_sh_created_by"] for row in rows} == {"notes-r1-aaaa"}
    held = world.query('DCGM_FI_DEV_FB_USED{exported_pod=~"notes.*"}', world.now - DAY)
    assert len(held) == 1 and held[0]["metric"]["exported_pod"].startswith("notes-r1")


def test_a_pod_that_comes_later_holds_its_card_only_from_then_on() -> None:
    world = World(past=0)
    world.serve()
    text = "count(DCGM_FI_DEV_FB_USED > 1)"
    assert world.api("query", query=text)[0] == 422
    held = 'count(DCGM_FI_DEV_FB_USED{exported_pod!=""})'
    assert world.value(held) == 1 and world.query(held, world.now - 3 * HOUR) == []


def test_a_workspace_without_clients_was_idle_all_week() -> None:
    world = World()
    body = workspace(annotations={"fleetsim.dev/clients": "none"})
    world.store.apply(body, manager="fleetportal")
    world.bench.pass_time(600)
    assert world.value("sum(vllm:prompt_tokens_total)", world.now - DAY) == 0
    cards = 'max_over_time(DCGM_FI_DEV_GPU_UTIL{exported_pod!=""}[1d])'
    assert world.value(cards) == 0


def test_the_fault_slow_slows_latency_too() -> None:
    world = World(faults=[{"kind": "slow", "match": "chat", "factor": 0.5}])
    world.serve()
    calm = World()
    calm.serve()
    text = "sum(vllm:e2e_request_latency_seconds_sum) / sum(vllm:e2e_request_latency_seconds_count)"
    assert world.value(text) == pytest.approx(2 * calm.value(text), rel=0.05)


def test_a_young_cluster_tells_of_its_past_once_it_is_made() -> None:
    """Engines that come late would change an answer about the past."""
    world = World(young=60)
    asked = {"query": "up", "start": world.now - 600, "end": world.now, "step": "1m"}
    status, body = world.api("query_range", **asked)
    assert (status, body["errorType"]) == (503, "unavailable")
    assert world.api("query", query="up")[0] == 200
    world.bench.pass_time(61)
    assert world.api("query_range", **asked)[0] == 200
