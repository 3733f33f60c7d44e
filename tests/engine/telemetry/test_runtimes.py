"""One page per runtime, written from its documented names -> the exact normalised reading."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry.quantiles import quantile
from clusters.engine.telemetry.runtimes import read_download, read_runtime
from clusters.engine.telemetry.types import Histogram, RuntimeReading
from tests.engine.telemetry import expositions
from tests.engine.telemetry.expositions import buckets, page


def reading(body: bytes, content_type: str = "text/plain; version=0.0.4") -> RuntimeReading:
    found = read_runtime(body, content_type)
    assert found is not None
    return found


def test_vllm_reads_to_these_values() -> None:
    found = reading(expositions.VLLM)
    assert (found.runtime, found.model) == ("vllm", "phi-4-mini")
    assert found.counters == {
        "requests": 100,
        "errors": 2,
        "prompt_tokens": 42000,
        "generation_tokens": 13000,
        "preemptions": 2,
        "cache_queries": 8000,
        "cache_hits": 2000,
    }
    assert found.gauges == {"running": 3, "waiting": 1, "kv_usage": 0.25, "download_left": 0}
    assert found.histograms["itl"] == Histogram((0.01, 0.025), (10, 890, 0), 16.0)
    assert found.histograms["e2e"] == Histogram((0.3, 2.5), (0, 96, 0), 160.0)
    assert found.histograms["ttft"].count == 96
    assert set(found.histograms) == {"ttft", "itl", "e2e", "queue"} and not found.means
    assert "tpot" not in found.exported and "errors" in found.exported


def test_old_vllm_reads_by_its_old_names_and_exports_no_errors() -> None:
    found = reading(expositions.VLLM_OLD)
    assert found.counters == {"requests": 13}
    assert found.gauges == {"running": 0, "kv_usage": 0.5}
    assert found.histograms == {"itl": Histogram((0.025,), (50, 10), 2.0)}
    assert "errors" not in found.exported and "ttft" in found.exported


def test_the_alias_of_inter_token_latency_is_not_added_to_it() -> None:
    assert reading(expositions.VLLM).histograms["itl"].count == 900


def test_aborts_are_requests_but_not_errors() -> None:
    body = page('vllm:request_success_total{finished_reason="abort"} 9')
    assert reading(body).counters == {"requests": 9}
    body = page(
        'vllm:request_success_total{finished_reason="abort"} 9',
        'vllm:request_success_total{finished_reason="error"} 2',
    )
    assert reading(body).counters == {"requests": 11, "errors": 2}


def test_iteration_tokens_is_a_histogram_and_is_not_taken_for_a_counter() -> None:
    rows = ('vllm:iteration_tokens_total_bucket{le="+Inf"} 9', "vllm:prompt_tokens_total 3")
    assert reading(page(*rows)).counters == {"prompt_tokens": 3}


def test_a_cache_use_in_percent_is_no_ratio_and_therefore_unknown() -> None:
    found = reading(page("vllm:kv_cache_usage_perc 25"))
    assert "kv_usage" not in found.gauges and "kv_usage" in found.exported


def test_data_parallel_engines_add_up_and_their_caches_are_averaged() -> None:
    rows = [
        *(f'vllm:num_requests_running{{engine="{i}"}} {i + 1}' for i in range(2)),
        *(f'vllm:kv_cache_usage_perc{{engine="{i}"}} {i / 2}' for i in range(2)),
        *(f'vllm:prompt_tokens_total{{engine="{i}"}} 10' for i in range(2)),
        *(
            row
            for i in range(2)
            for row in buckets(
                "vllm:time_to_first_token_seconds", f'engine="{i}"', [("1", 4), ("+Inf", 5)], 2.0
            )
        ),
    ]
    found = reading(page(*rows))
    assert found.gauges == {"running": 3, "kv_usage": 0.25}
    assert found.counters == {"prompt_tokens": 20}
    assert found.histograms["ttft"] == Histogram((1.0,), (8, 2), 4.0)


@pytest.mark.parametrize("ranks", [[(0, 0)], [(0, 0), (1, 0), (2, 0), (3, 0)]])
def test_sglang_reads_to_the_same_values_however_many_tensor_ranks_report(
    ranks: list[tuple[int, int]],
) -> None:
    found = reading(expositions.sglang(ranks))
    assert (found.runtime, found.model) == ("sglang", "qwen3-32b")
    assert found.counters == {
        "requests": 52,
        "errors": 3,
        "prompt_tokens": 5000,
        "generation_tokens": 9000,
        "cache_queries": 5000,
        "cache_hits": 1000,
    }
    assert found.gauges == {"running": 4, "waiting": 1, "kv_usage": 0.4}
    assert found.histograms["queue"].count == 30


def test_sglang_adds_data_parallel_ranks_whose_tensor_ranks_are_numbered_through() -> None:
    found = reading(expositions.sglang([(0, 0), (1, 0), (2, 1), (3, 1)]))
    assert found.gauges == {"running": 9, "waiting": 2, "kv_usage": 0.4}
    assert found.histograms["queue"].count == 60


def test_tgi_reads_to_these_values_and_exports_no_first_token_and_no_cache() -> None:
    found = reading(expositions.TGI)
    assert (found.runtime, found.model) == ("tgi", "")
    assert found.counters == {
        "requests": 40,
        "errors": 3,
        "prompt_tokens": 8000,
        "generation_tokens": 4000,
    }
    assert found.gauges == {"running": 5, "waiting": 2}
    assert found.means == {"prefill": (7.2, 36)}
    assert set(found.histograms) == {"queue", "e2e", "tpot"}
    assert not {"ttft", "itl", "kv_usage"} & set(found.exported)


def test_tgi_without_a_failure_has_0_errors_but_a_cut_page_has_none_known() -> None:
    assert reading(b"tgi_request_count 4\n").counters == {"requests": 4, "errors": 0}
    assert reading(b"tgi_request_count 4\ntgi_queue_size 1").counters == {"requests": 4}


def test_triton_reads_to_these_values() -> None:
    found = reading(expositions.TRITON)
    assert (found.runtime, found.model) == ("triton", "llama")
    assert found.counters == {"requests": 27, "errors": 2}  # a cancelled one is no error
    assert found.means == {"e2e": (40.0, 20), "queue": (2.0, 20)}
    assert found.gauges == {"running": 6, "waiting": 3, "kv_usage": 0.6}
    assert found.histograms["ttft"] == Histogram((0.1, 0.5, 2.0, 5.0), (5, 13, 2, 0, 0), 4.0)


def test_a_triton_ensemble_is_counted_once_and_not_again_by_its_parts() -> None:
    rows = [
        f'nv_inference_request_success{{model="{model}",version="1"}} 10'
        for model in ("ensemble", "preprocessing", "tensorrt_llm", "postprocessing")
    ]
    rows += [
        f'nv_inference_request_failure{{model="{model}",version="1",reason="OTHER"}} 1'
        for model in ("ensemble", "tensorrt_llm")
    ]
    assert reading(page(*rows)).counters == {"requests": 11, "errors": 1}


def test_trtllm_serve_reads_to_these_values() -> None:
    found = reading(expositions.TRTLLM)
    assert (found.runtime, found.model) == ("trtllm", "llama")
    assert found.counters == {"requests": 12}
    assert found.gauges == {"running": 2, "waiting": 1, "kv_usage": 0.3}
    assert found.histograms == {"itl": Histogram((0.02,), (100, 20), 2.4)}
    assert "errors" not in found.exported


@pytest.mark.parametrize("content_type", ["application/json", ""])
def test_kaitos_transformers_json_gives_load_and_temperature_and_no_memory(
    content_type: str,
) -> None:
    found = reading(expositions.KAITO_JSON, content_type)
    assert found.runtime == "kaito-transformers"
    assert found.gauges == {"gpu_load": 50.0, "gpu_temperature": 61.0}
    assert not found.counters and not found.histograms
    assert found.exported == ("gpu_load", "gpu_temperature")


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[1]", b"{", b'{"gpu_info": 7}', b'{"gpu_info":[{"load":5}]}', b"{" * 100_000],
)
def test_other_json_is_no_reading_or_an_empty_one(body: bytes) -> None:
    found = read_runtime(body, "application/json")
    assert found is None or found.gauges == {}


def test_gauges_of_the_download_are_read_before_the_runtime_answers() -> None:
    body = page(
        "kaito_model_download_speed_bytes_per_second 429496729.6",
        "kaito_model_download_remaining_seconds 12.5",
    )
    expected = {"download_speed": 429496729.6, "download_left": 12.5}
    assert read_download(body) == expected
    found = reading(body)
    assert found.gauges == expected and "requests" in found.exported and not found.counters


def test_a_download_of_unknown_length_is_unknown_and_not_minus_one() -> None:
    assert read_download(b"kaito_model_download_remaining_seconds -1.0\n") == {}
    assert read_download(b"kaito_model_download_remaining_seconds -1") == {}


@pytest.mark.parametrize("body", [expositions.VLLM, expositions.TGI, expositions.TRITON])
def test_a_prefix_before_every_name_changes_nothing(body: bytes) -> None:
    rows = []
    for row in body.decode().splitlines():
        declared = row.startswith("# TYPE ")
        rows.append(row.replace("TYPE ", "TYPE kserve_") if declared else f"kserve_{row}")
    assert read_runtime(page(*rows), prefix="kserve_") == read_runtime(body)
    assert read_runtime(body, prefix="kserve_") == read_runtime(body)
    assert read_runtime(page(*rows)) is None


def test_a_page_of_something_else_is_no_reading() -> None:
    assert read_runtime(b"process_cpu_seconds_total 3\nhttp_requests_total 9\n") is None
    assert read_runtime(b"") is None


def test_a_broken_line_makes_its_signal_unknown_and_never_smaller() -> None:
    body = expositions.VLLM.replace(
        b'finished_reason="length"} 5.0', b'finished_reason="length"} x'
    )
    found = reading(body)
    assert "requests" not in found.counters and "requests" in found.exported
    assert found.counters["generation_tokens"] == 13000


def test_no_number_is_unknown_and_never_0() -> None:
    found = reading(
        page(
            "vllm:num_requests_running NaN",
            "vllm:prompt_tokens_total NaN",
            "vllm:generation_tokens_total 1e300",
            'vllm:time_to_first_token_seconds_bucket{le="1"} NaN',
            'vllm:time_to_first_token_seconds_bucket{le="+Inf"} NaN',
        )
    )
    assert not found.counters and not found.gauges and not found.histograms


def test_a_quantile_of_a_page_comes_with_its_bucket() -> None:
    found = quantile(reading(expositions.VLLM).histograms["ttft"], 0.9)
    assert found is not None and (found.low, found.high) == (0.75, 1.0)


FRAGMENTS = st.sampled_from(
    [line for body in (expositions.VLLM, expositions.sglang([(0, 0)]), expositions.TGI,
                       expositions.TRITON) for line in body.decode().splitlines()]
)  # fmt: skip


@given(st.lists(FRAGMENTS | st.text(max_size=30), max_size=30), st.integers(0, 4000))
def test_no_page_can_crash_the_adapters_or_make_a_negative_number(
    lines: list[str], cut: int
) -> None:
    found = read_runtime("\n".join(lines).encode()[:cut])
    if found is None:
        return
    assert all(value >= 0 for value in found.counters.values())
    assert all(value >= 0 and math.isfinite(value) for value in found.gauges.values())
    for held in found.histograms.values():
        assert len(held.counts) == len(held.bounds) + 1 and min(held.counts) >= 0
        assert list(held.bounds) == sorted(held.bounds)


@given(st.binary(max_size=300), st.sampled_from(["", "text/plain", "application/json"]))
def test_no_bytes_can_crash_a_reading(body: bytes, content_type: str) -> None:
    read_runtime(body, content_type)
    read_runtime(b'{"gpu_info":' + body, content_type)
    read_download(body)


def test_a_number_beyond_all_sense_is_unknown_and_no_sum_overflows() -> None:
    found = reading(
        page(
            *(f'vllm:num_requests_running{{engine="{i}"}} 1.7e308' for i in range(3)),
            'vllm:e2e_request_latency_seconds_bucket{le="+Inf"} 3',
            *(f'vllm:e2e_request_latency_seconds_sum{{engine="{i}"}} 1.7e308' for i in range(3)),
        )
    )
    assert "running" not in found.gauges
    assert found.histograms["e2e"].count == 3 and math.isnan(found.histograms["e2e"].total)
