"""Engines and routing: who is reached by a Service, what a model pod answers, what it measures."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from fleetsim.store import ApiError, ClusterStore, Response
from tests.actorbench import NAMESPACE, Bench, auto, byo, config, inference_set, service, workspace

SELECTOR = {"inferenceset.kaito.sh/created-by": "chat", "apps.kubernetes.io/pod-index": "0"}


class Caller:
    """Talks to the model pods of one cluster."""

    def __init__(self, bench: Bench, store: ClusterStore) -> None:
        self.bench, self.store = bench, store

    def pods(self) -> list[dict[str, Any]]:
        return self.store.list("Pod", NAMESPACE)

    def ask(self, path: str, body: Any = None, pod: int = 0, port: int = 5000) -> Response:
        handler = self.bench.fleet.proxy_handler
        assert handler is not None
        raw = body if isinstance(body, bytes) else orjson.dumps(body) if body is not None else b""
        method = "GET" if body is None else "POST"
        return handler(self.store, self.pods()[pod], port, method, path, {}, raw)

    def chat(self, **body: Any) -> Response:
        return self.ask(
            "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], **body}
        )

    def metric(self, name: str) -> float:
        text = self.ask("/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
        assert found, f"no {name}"
        return float(found[1])


def serving(*, name: str = "", seconds: float = 300, **body: Any) -> Caller:
    """A bring-your-own cluster with an InferenceSet `chat` of one replica."""
    bench = Bench()
    store = bench.cluster(**byo())
    if name:
        store.create(config(served_model_name=name))
        bench.pass_time(1)
        body["config"] = "cfg"
    store.apply(inference_set(replicas=1, **body), manager="fleetportal")
    bench.pass_time(seconds)
    return Caller(bench, store)


def ready_endpoints(store: ClusterStore, name: str) -> list[bool]:
    slices = store.list("EndpointSlice", NAMESPACE, {"kubernetes.io/service-name": name})
    return [e["conditions"]["ready"] for each in slices for e in each["endpoints"]]


def test_our_service_reaches_a_pod_only_once_it_is_ready() -> None:
    caller = serving(seconds=90)
    caller.store.create(service("assist-chat", SELECTOR))
    caller.bench.actors.settle()
    assert ready_endpoints(caller.store, "assist-chat") == [False]
    own = caller.store.list("Workspace", NAMESPACE)[0]["metadata"]["name"]
    assert ready_endpoints(caller.store, own) == [True]  # it publishes addresses not ready
    caller.bench.pass_time(300)
    assert ready_endpoints(caller.store, "assist-chat") == [True]


def test_a_changed_selector_moves_the_service_and_a_deleted_set_empties_it() -> None:
    caller = serving()
    store, bench = caller.store, caller.bench
    store.create(service("assist-chat", SELECTOR))
    bench.actors.settle()
    store.delete("InferenceSet", NAMESPACE, "chat")
    bench.actors.settle()
    assert ready_endpoints(store, "assist-chat") == [False]  # terminating
    bench.pass_time(60)
    assert ready_endpoints(store, "assist-chat") == []


def test_the_model_name_is_the_configs_then_the_sets_then_the_presets() -> None:
    named = serving(name="assist-chat")
    assert orjson.loads(named.ask("/v1/models").body)["data"][0]["id"] == "assist-chat"
    assert orjson.loads(serving().ask("/v1/models").body)["data"][0]["id"] == "chat"
    bench = Bench()
    store = bench.cluster(**byo())
    store.apply(workspace(), manager="fleetportal")
    bench.pass_time(300)
    answer = orjson.loads(Caller(bench, store).ask("/v1/models").body)
    assert answer["data"][0]["id"] == "phi-4-mini-instruct"
    assert answer["data"][0]["root"] == "microsoft/Phi-4-mini-instruct"


def test_a_chat_answer_has_openais_shape_and_names_model_and_pod() -> None:
    caller = serving(name="assist-chat")
    answer = caller.chat(model="assist-chat")
    body = orjson.loads(answer.body)
    assert answer.status == 200 and body["object"] == "chat.completion"
    text = body["choices"][0]["message"]["content"]
    assert "assist-chat" in text and caller.pods()[0]["metadata"]["name"] in text
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    short = orjson.loads(caller.chat(model="assist-chat", max_tokens=2).body)
    assert short["choices"][0]["finish_reason"] == "length"


def test_a_wrong_model_name_is_a_404_and_a_bad_body_a_400() -> None:
    caller = serving(name="assist-chat")
    wrong = caller.chat(model="chat")
    assert wrong.status == 404
    error = orjson.loads(wrong.body)["error"]
    assert error["message"] == "The model `chat` does not exist."
    assert error["type"] == "NotFoundError" and error["code"] == 404
    bodies: tuple[Any, ...] = (b"{", {"model": "assist-chat"}, {"messages": [], "model": "a"}, [])
    for body in bodies:
        assert caller.ask("/v1/chat/completions", body).status == 400
    assert caller.chat(model="assist-chat", max_tokens=0).status == 400


def test_a_stream_ends_with_done() -> None:
    answer = serving().chat(model="chat", stream=True)
    assert answer.content_type == "text/event-stream"
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_health_answers_and_unknown_paths_and_methods_do_not() -> None:
    caller = serving()
    assert caller.ask("/health").status == 200
    assert caller.ask("/nope").status == 404
    assert caller.ask("/v1/models", {}).status == 405
    with pytest.raises(ApiError, match="connection refused"):
        caller.ask("/health", port=8000)


def test_ray_workers_refuse_connections() -> None:
    bench = Bench()
    store = bench.cluster(**auto())
    body = workspace(
        preset="Qwen/Qwen2.5-Coder-32B-Instruct", instance_type="Standard_NC24ads_A100_v4"
    )
    store.apply(body, manager="fleetportal")
    bench.pass_time(900)
    caller = Caller(bench, store)
    assert caller.ask("/health", pod=0).status == 200
    with pytest.raises(ApiError) as caught:
        caller.ask("/health", pod=1)
    assert caught.value.code == 503


def test_while_weights_come_in_only_the_downloads_metrics_answer() -> None:
    caller = serving(seconds=60)
    assert caller.ask("/health").status == 404
    text = caller.ask("/metrics").body.decode()
    assert "kaito_model_download_remaining_seconds" in text and "vllm:" not in text


def test_metrics_have_vllms_names_and_advance_with_requests() -> None:
    caller = serving(name="assist-chat")
    text = caller.ask("/metrics").body.decode()
    for name in (
        "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc",
        "vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total",
        "vllm:time_to_first_token_seconds_bucket", "vllm:inter_token_latency_seconds_count",
        "vllm:e2e_request_latency_seconds_sum", "vllm:cache_config_info", "http_requests_total",
    ):  # fmt: skip
        assert f"\n{name}{{" in text or text.startswith(name)
    assert 'engine="0",model_name="assist-chat"' in text
    before = caller.metric("vllm:generation_tokens_total")
    caller.chat(model="assist-chat")
    assert caller.metric("vllm:generation_tokens_total") > before
    assert caller.metric("vllm:time_to_first_token_seconds_count") == 1


def test_load_comes_with_the_service_and_fades_after_it_is_gone() -> None:
    caller = serving()
    assert caller.metric("vllm:num_requests_running") == 0
    caller.store.create(service("assist-chat", SELECTOR))
    caller.bench.pass_time(120)
    first = caller.metric("vllm:prompt_tokens_total")
    caller.bench.pass_time(60)
    second = caller.metric("vllm:prompt_tokens_total")
    assert 0 < first < second and caller.metric("vllm:num_requests_running") >= 1
    caller.store.delete("Service", NAMESPACE, "assist-chat")
    caller.bench.pass_time(1)
    assert caller.metric("vllm:num_requests_running") >= 1  # clients that keep their connection
    caller.bench.pass_time(30)
    assert caller.metric("vllm:num_requests_running") == 0
    assert caller.metric("vllm:prompt_tokens_total") >= second


def test_histograms_are_cumulative_and_end_at_their_count() -> None:
    caller = serving()
    caller.store.create(service("assist-chat", SELECTOR))
    caller.bench.pass_time(600)
    text = caller.ask("/metrics").body.decode()
    rows = re.findall(r'time_to_first_token_seconds_bucket{le="[^"]+",[^}]*} (\S+)', text)
    values = [float(row) for row in rows]
    assert values == sorted(values) and values[-1] > 0
    assert values[-1] == caller.metric("vllm:time_to_first_token_seconds_count")


def test_the_log_ends_with_the_benchmark_that_the_status_shows() -> None:
    caller = serving()
    handler = caller.bench.fleet.log_handler
    assert handler is not None
    text = handler(caller.store, caller.pods()[0], "", False, None)
    line = next(row for row in text.splitlines() if row.startswith("KAITO_BENCHMARK_RESULT "))
    result = orjson.loads(line.split(" ", 2)[2])
    assert set(result) == {"vllm_total_tpm", "ttft_avg_ms", "tpot_avg_ms"}
    child = caller.store.list("Workspace", NAMESPACE)[0]
    shown = child["status"]["performance"]["metrics"]["peakTokensPerMinute"]["value"]
    assert float(shown) == result["vllm_total_tpm"]
    assert handler(caller.store, caller.pods()[0], "", False, 1).count("\n") == 1
