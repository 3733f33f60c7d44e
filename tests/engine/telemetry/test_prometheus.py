"""Answers of a Prometheus: the same readings as from the pages, and no answer crashes."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry import promql
from clusters.engine.telemetry.exposition import read
from clusters.engine.telemetry.gpus import WANTED as GPU_NAMES
from clusters.engine.telemetry.gpus import read_gpus
from clusters.engine.telemetry.prometheus import (
    gpus_in,
    gpus_over_time,
    pods_of,
    pods_over_time,
    read_answer,
)
from clusters.engine.telemetry.runtimes import WANTED, read_runtime
from tests.engine.telemetry import expositions


def series(body: bytes, names: frozenset[str], **extra: str) -> list[dict[str, Any]]:
    """What a Prometheus that scraped the page holds."""
    return [
        {"metric": {"__name__": name, **labels, **extra}, "value": [1.78e9, repr(value)]}
        for name, held in read(body, names).samples.items()
        for labels, value in held
    ]


def vector(rows: list[dict[str, Any]]) -> bytes:
    data = {"resultType": "vector", "result": rows}
    return json.dumps({"status": "success", "data": data}).encode()


@pytest.mark.parametrize(
    "body",
    [
        expositions.VLLM,
        expositions.VLLM_OLD,
        expositions.sglang([(0, 0), (1, 0)]),
        expositions.TGI,
        expositions.TRITON,
        expositions.TRTLLM,
    ],
)
def test_both_roads_read_a_pod_to_the_same_values(body: bytes) -> None:
    answer = read_answer(vector(series(body, WANTED, namespace="ml", pod="chat-0")))
    assert answer.problem == ""
    assert pods_of(answer) == {("ml", "chat-0"): read_runtime(body)}


def test_pods_are_told_apart() -> None:
    rows = [
        *series(expositions.VLLM, WANTED, namespace="ml", pod="a"),
        *series(expositions.TGI, WANTED, namespace="ml", pod="b"),
        *series(b"http_requests_total 5\n", WANTED, namespace="web", pod="c"),
    ]
    found = pods_of(read_answer(vector(rows)))
    assert {pod: reading.runtime for pod, reading in found.items()} == {
        ("ml", "a"): "vllm",
        ("ml", "b"): "tgi",
    }


def test_sglangs_endpoint_is_read_where_a_prometheus_renamed_it() -> None:
    rows = series(expositions.sglang([(0, 0)]), WANTED, namespace="ml", pod="a")
    for row in rows:
        if "endpoint" in row["metric"]:
            row["metric"]["exported_endpoint"] = row["metric"]["endpoint"]
        row["metric"]["endpoint"] = "http"
    found = pods_of(read_answer(vector(rows)))
    assert found["ml", "a"].counters["errors"] == 3


def test_a_matrix_reads_to_readings_in_order_of_time() -> None:
    rows = [
        {
            "metric": {"__name__": "vllm:prompt_tokens_total", "namespace": "ml", "pod": "a"},
            "values": [[30, "12"], [15, "7"], [45, "NaN"]],
        },
        {
            "metric": {"__name__": "vllm:generation_tokens_total", "namespace": "ml", "pod": "a"},
            "values": [[30, "2"]],
        },
    ]
    data = {"status": "success", "data": {"resultType": "matrix", "result": rows}}
    found = pods_over_time(read_answer(json.dumps(data).encode()))
    assert [(at, reading.counters) for at, reading in found["ml", "a"]] == [
        (15.0, {"prompt_tokens": 7}),
        (30.0, {"prompt_tokens": 12, "generation_tokens": 2}),
    ]


def test_both_roads_read_gpus_to_the_same_samples() -> None:
    rows = series(expositions.dcgm(), GPU_NAMES["dcgm"])
    assert gpus_in(read_answer(vector(rows)), "dcgm") == read_gpus(expositions.dcgm(), "dcgm", "n1")


def test_a_prometheus_exporter_pod_names_the_node_and_is_no_user() -> None:
    rows = series(expositions.HAMI, GPU_NAMES["hami"])
    for row in rows:
        labels = row["metric"]
        if "pod" in labels:
            labels |= {"exported_pod": labels["pod"], "exported_namespace": labels["namespace"]}
        labels |= {"namespace": "kube-system", "pod": "hami-x"}
    answer = read_answer(vector(rows))
    found = gpus_in(answer, "hami", exporters={"kube-system/hami-x": "node-7"})
    assert [(card.node, card.pods) for card in found] == [("node-7", ("ml/a", "ml/b"))]
    assert gpus_in(answer, "hami") == ()  # no label says the node


def test_cards_without_a_user_do_not_belong_to_the_exporter() -> None:
    rows = series(b'DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="u"} 0\n', GPU_NAMES["dcgm"],
                  namespace="gpu", pod="dcgm-x")  # fmt: skip
    (card,) = gpus_in(read_answer(vector(rows)), "dcgm", exporters={"gpu/dcgm-x": "n"})
    assert (card.node, card.pods, card.util) == ("n", (), 0.0)


def test_gpus_over_time_are_in_order() -> None:
    metric = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "gpu": "0", "UUID": "u", "Hostname": "n"}
    rows = [{"metric": metric, "values": [[120, "80"], [60, "5"]]}]
    data = {"status": "success", "data": {"resultType": "matrix", "result": rows}}
    found = gpus_over_time(read_answer(json.dumps(data).encode()), "dcgm")
    assert [(at, card.util) for at, (card,) in found] == [(60.0, 5.0), (120.0, 80.0)]


def test_an_error_is_said_in_prometheus_words() -> None:
    body = b'{"status":"error","errorType":"bad_data","error":"parse error at char 5"}'
    assert read_answer(body).problem == "parse error at char 5"
    assert read_answer(b"<html>502</html>").problem == "The answer is not Prometheus' JSON."
    assert read_answer(b'{"status":"success","data":{"resultType":"string","result":"x"}}').problem


def test_nan_is_no_data() -> None:
    rows = [{"metric": {"pod": "a"}, "value": [1, "NaN"]}]
    (line,) = read_answer(vector(rows)).lines
    assert line.points == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["metric", "value", "values", "__name__", "pod", "le"]), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON, st.sampled_from(["vector", "matrix", "scalar", "string"]))
def test_no_json_can_crash_the_reader(result: Any, kind: str) -> None:
    data = {"resultType": kind, "result": result}
    answer = read_answer(json.dumps({"status": "success", "data": data}).encode())
    pods_of(answer)
    pods_over_time(answer)
    gpus_in(answer, "dcgm")
    gpus_over_time(answer, "hami")


@given(st.binary(max_size=200))
def test_no_bytes_can_crash_the_reader(body: bytes) -> None:
    assert read_answer(body).problem


def test_texts_carry_prefix_window_and_matchers() -> None:
    assert promql.signal_text("vllm", "ttft", quantile=0.99, window="1m", matchers='pod="a"') == (
        "histogram_quantile(0.99, sum by (le) "
        '(rate(vllm:time_to_first_token_seconds_bucket{pod="a"}[1m])))'
    )
    assert promql.signal_text("vllm", "errors", prefix="kserve_", window="2m") == (
        'sum(rate(kserve_http_requests_total{handler=~"/v1/.*",status="5xx"}[2m])) / '
        'sum(rate(kserve_http_requests_total{handler=~"/v1/.*"}[2m]))'
    )
    assert promql.signal_text("triton", "ttft") == (
        "histogram_quantile(0.95, sum by (le) "
        "(rate(nv_inference_first_response_histogram_ms_bucket[5m]))) / 1000"
    )
    assert promql.signal_text("tgi", "ttft") is promql.signal_text("kaito-transformers", "e2e")


def test_raw_queries_ask_for_every_name_that_the_adapters_read() -> None:
    text = promql.raw_counters(matchers='namespace="ml"', prefix="kserve_")
    assert all(f"kserve_{name}" in text for name in WANTED)
    assert text.startswith("max by (__name__, namespace, pod, le,") and 'namespace="ml"' in text
    assert "DCGM_FI_DEV_GPU_UTIL" in promql.raw_gpus("dcgm")
    assert promql.newest().startswith("max by (namespace, pod) (timestamp({__name__=~")


PROMTOOL = shutil.which("promtool")
HTTP = "sglang:http_responses_total"
CHAT = '"/v1/chat/completions"'
# (labels, per second): what two engines with SGLang look like to jobs of different making
SCRAPED = (
    (f'pod="a",endpoint="http",exported_endpoint={CHAT},status_code="200"', 3),
    (f'pod="a",endpoint="http",exported_endpoint={CHAT},status_code="503"', 1),
    ('pod="a",endpoint="http",exported_endpoint="/health",status_code="500"', 9),
    (f'pod="b",endpoint={CHAT},status_code="200"', 4),
    ('pod="b",endpoint="/metrics",status_code="503"', 9),
)


def evaluated(expression: str, lines: Iterable[tuple[str, int]], expected: object) -> str:
    """What promtool says of an expression a minute after the start, if it is not as expected."""
    assert PROMTOOL is not None
    series_ = [{"series": series, "values": f"0+{15 * each}x4"} for series, each in lines]
    asked = {"expr": expression, "eval_time": "1m", "exp_samples": expected}
    tests = [{"interval": "15s", "input_series": series_, "promql_expr_test": [asked]}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tests.yml"
        path.write_text(json.dumps({"rule_files": [], "tests": tests}))
        run = [PROMTOOL, "test", "rules", str(path)]
        found = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    return "" if found.returncode == 0 else found.stderr + found.stdout


needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool (apt: prometheus)")


@needs_promtool
def test_sglangs_errors_are_asked_by_path_whatever_its_label_is_called() -> None:
    lines = [(f"{HTTP}{{{labels}}}", each) for labels, each in SCRAPED]
    text = promql.signal_text("sglang", "errors", window="1m", matchers='pod=~"a|b"')
    assert text is not None
    assert evaluated(text, lines, [{"labels": "{}", "value": 1 / 8}]) == ""


@needs_promtool
def test_a_pod_that_two_jobs_scrape_counts_once_in_prometheus() -> None:
    moved = f'exported_endpoint={CHAT},namespace="ml",pod="a",status_code="503"'
    lines = [
        (f'{name}{{endpoint="{port}",job="{port}",{labels}}}', 1)
        for port in ("http", "metrics")
        for name, labels in (
            (HTTP, moved),
            ("sglang:num_requests_total", 'namespace="ml",pod="a"'),
            ("vllm:prompt_tokens_total", 'namespace="ml",pod="b"'),
        )
    ]
    lines.append((f'{HTTP}{{endpoint="/generate",namespace="ml",pod="c"}}', 1))
    expected = [
        {"labels": f"{HTTP}{{{moved}}}", "value": 60},
        {"labels": f'{HTTP}{{endpoint="/generate",namespace="ml",pod="c"}}', "value": 60},
        {"labels": 'sglang:num_requests_total{namespace="ml",pod="a"}', "value": 60},
        {"labels": 'vllm:prompt_tokens_total{namespace="ml",pod="b"}', "value": 60},
    ]
    assert evaluated(promql.raw_counters(), lines, expected) == ""
