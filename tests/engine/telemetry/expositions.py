"""Metrics pages as runtimes and exporters write them, made from their documented names.

Values are chosen so that every sum has one right answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
        20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)  # fmt: skip


def buckets(
    name: str, labels: str, counts: Sequence[tuple[str, int]], total: float
) -> Iterable[str]:
    """Lines of one histogram; `counts` are cumulative, by the text of `le`."""
    comma = "," if labels else ""
    for bound, count in counts:
        yield f'{name}_bucket{{{labels}{comma}le="{bound}"}} {float(count)}'
    yield f"{name}_sum{{{labels}}} {total}"
    yield f"{name}_count{{{labels}}} {float(counts[-1][1])}"


def page(*lines: str) -> bytes:
    return ("\n".join(lines) + "\n").encode()


_V = 'engine="0",model_name="phi-4-mini"'
VLLM = page(
    "# HELP vllm:num_requests_running Number of requests in model execution batches.",
    "# TYPE vllm:num_requests_running gauge",
    f"vllm:num_requests_running{{{_V}}} 3.0",
    f"vllm:num_requests_waiting{{{_V}}} 1.0",
    f'vllm:num_requests_waiting_by_reason{{{_V},reason="capacity"}} 1.0',
    f"vllm:kv_cache_usage_perc{{{_V}}} 0.25",
    f"vllm:prefix_cache_queries_total{{{_V}}} 8000.0",
    f"vllm:prefix_cache_hits_total{{{_V}}} 2000.0",
    f"vllm:num_preemptions_total{{{_V}}} 2.0",
    f"vllm:prompt_tokens_total{{{_V}}} 42000.0",
    f"vllm:generation_tokens_total{{{_V}}} 13000.0",
    "# TYPE vllm:request_success_total counter",
    f'vllm:request_success_total{{{_V},finished_reason="stop"}} 90.0',
    f'vllm:request_success_total{{{_V},finished_reason="length"}} 5.0',
    f'vllm:request_success_total{{{_V},finished_reason="abort"}} 4.0',
    f'vllm:request_success_total{{{_V},finished_reason="error"}} 1.0',
    f"vllm:request_success_created{{{_V}}} 1.78e+09",
    *buckets("vllm:iteration_tokens_total", _V, [("1.0", 7), ("8.0", 9), ("+Inf", 9)], 30.0),
    *buckets(
        "vllm:time_to_first_token_seconds",
        _V,
        [*((f"{bound}", 60 if bound < 1 else 95) for bound in TTFT), ("+Inf", 96)],
        80.5,
    ),
    *buckets(
        "vllm:inter_token_latency_seconds", _V, [("0.01", 10), ("0.025", 900), ("+Inf", 900)], 16.0
    ),
    *buckets(
        "vllm:time_per_output_token_seconds",
        _V,
        [("0.01", 10), ("0.025", 900), ("+Inf", 900)],
        16.0,
    ),
    *buckets(
        "vllm:e2e_request_latency_seconds", _V, [("0.3", 0), ("2.5", 96), ("+Inf", 96)], 160.0
    ),
    *buckets("vllm:request_queue_time_seconds", _V, [("0.3", 96), ("0.5", 96), ("+Inf", 96)], 1.0),
    "# TYPE http_requests_total counter",
    'http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"} 95.0',
    'http_requests_total{handler="/v1/chat/completions",method="POST",status="4xx"} 7.0',
    'http_requests_total{handler="/v1/completions",method="POST",status="5xx"} 2.0',
    'http_requests_total{handler="/health",method="GET",status="5xx"} 40.0',
    "# TYPE kaito_model_download_remaining_seconds gauge",
    "kaito_model_download_remaining_seconds 0.0",
)

_OLD = 'model_name="mistral-7b"'
VLLM_OLD = page(
    f"vllm:num_requests_running{{{_OLD}}} 0.0",
    f"vllm:gpu_cache_usage_perc{{{_OLD}}} 0.5",
    f'vllm:request_success_total{{finished_reason="stop",{_OLD}}} 10.0',
    f'vllm:request_success_total{{finished_reason="length",{_OLD}}} 0.0',
    f'vllm:request_success_total{{finished_reason="abort",{_OLD}}} 3.0',
    *buckets("vllm:time_per_output_token_seconds", _OLD, [("0.025", 50), ("+Inf", 60)], 2.0),
)


def sglang(ranks: Iterable[tuple[int, int]]) -> bytes:
    """`ranks`: (tp_rank, dp_rank) of every scheduler that reports."""
    model = 'model_name="qwen3-32b"'
    lines = [
        f"sglang:num_requests_total{{{model}}} 50.0",
        f"sglang:num_aborted_requests_total{{{model}}} 2.0",
        f"sglang:prompt_tokens_total{{{model}}} 5000.0",
        f"sglang:generation_tokens_total{{{model}}} 9000.0",
        f"sglang:cached_tokens_total{{{model}}} 1000.0",
        'sglang:http_responses_total{endpoint="/v1/chat/completions",method="POST",'
        'status_code="200"} 48.0',
        'sglang:http_responses_total{endpoint="/generate",method="POST",status_code="503"} 3.0',
        'sglang:http_responses_total{endpoint="/health",method="GET",status_code="500"} 9.0',
        *buckets(
            "sglang:time_to_first_token_seconds", model, [("0.1", 20), ("0.2", 50), ("+Inf", 50)], 5
        ),
    ]
    for tp, dp in ranks:
        rank = f'engine_type="unified",{model},tp_rank="{tp}",pp_rank="0",dp_rank="{dp}"'
        lines += [
            f"sglang:num_running_reqs{{{rank}}} {4.0 + dp}",
            f"sglang:num_queue_reqs{{{rank}}} 1.0",
            f"sglang:token_usage{{{rank}}} 0.4",
            *buckets("sglang:queue_time_seconds", rank, [("0.1", 30), ("+Inf", 30)], 0.5),
        ]
    return page(*lines)


TGI = page(
    "tgi_request_count 40",
    "tgi_request_success 33",
    'tgi_request_failure{err="validation"} 4',
    'tgi_request_failure{err="overloaded"} 2',
    'tgi_request_failure{err="generation"} 1',
    "tgi_request_input_length_sum 8000",
    "tgi_request_input_length_count 40",
    "tgi_request_generated_tokens_sum 4000",
    *buckets("tgi_request_queue_duration", "", [("0.00015", 0), ("0.5", 36), ("+Inf", 36)], 3.6),
    *buckets("tgi_request_duration", "", [("1.5", 30), ("+Inf", 36)], 72.0),
    *buckets(
        "tgi_request_mean_time_per_token_duration", "", [("0.02", 18), ("0.03", 36), ("+Inf", 36)],
        0.8,
    ),
    'tgi_batch_inference_duration_sum{method="prefill"} 7.2',
    'tgi_batch_inference_duration_count{method="prefill"} 36',
    'tgi_batch_inference_duration_sum{method="decode"} 60.0',
    'tgi_batch_inference_duration_count{method="decode"} 4000',
    "tgi_queue_size 2",
    "tgi_batch_current_size 5",
)  # fmt: skip

_T = 'model="llama",version="1"'
TRITON = page(
    f"nv_inference_request_success{{{_T}}} 20",
    f'nv_inference_request_failure{{{_T},reason="REJECTED"}} 2',
    f'nv_inference_request_failure{{{_T},reason="CANCELED"}} 5',
    f"nv_inference_request_duration_us{{{_T}}} 40000000",
    f"nv_inference_queue_duration_us{{{_T}}} 2000000",
    f"nv_inference_pending_request_count{{{_T}}} 3",
    *buckets(
        "nv_inference_first_response_histogram_ms", _T,
        [("100", 5), ("500", 18), ("2000", 20), ("5000", 20), ("+Inf", 20)], 4000,
    ),
    f'nv_trt_llm_request_metrics{{{_T},request_type="scheduled"}} 6',
    f'nv_trt_llm_request_metrics{{{_T},request_type="active"}} 9',
    f'nv_trt_llm_kv_cache_block_metrics{{{_T},kv_cache_block_type="fraction"}} 0.6',
    f'nv_trt_llm_kv_cache_block_metrics{{{_T},kv_cache_block_type="used"}} 600',
)  # fmt: skip

TRTLLM = page(
    'trtllm_request_success_total{model_name="llama",finished_reason="stop"} 12',
    "trtllm_num_requests_running 2",
    "trtllm_num_requests_waiting 1",
    "trtllm_kv_cache_utilization 0.3",
    *buckets("trtllm_time_per_output_token_seconds", "", [("0.02", 100), ("+Inf", 120)], 2.4),
)

KAITO_JSON = (
    b'{"gpu_info":[{"id":"GPU-1","name":"A100","load":"25.00%","temperature":"55 C",'
    b'"memory":{"used":"0.00 GB","total":"0.00 GB"}},'
    b'{"id":"GPU-2","name":"A100","load":"75.00%","temperature":"61 C",'
    b'"memory":{"used":"0.00 GB","total":"0.00 GB"}}],'
    b'"cpu_info":{"load_percentage":3.1,"physical_cores":24,"total_cores":48,"memory":null}}'
)


def dcgm(host: str = "Hostname", pod: str = 'pod="chat-0",namespace="ml",container="m"') -> bytes:
    """Two whole cards (one in use) and one MIG instance, which has no GPU_UTIL."""
    first = f'gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA A100-SXM4-80GB",{host}="n1"'
    used = f"{first},{pod}"
    second = (
        f'gpu="1",UUID="GPU-b",device="nvidia1",modelName="NVIDIA A100-SXM4-80GB",{host}="n1",'
        'pod="",namespace="",container=""'
    )
    slice_ = (
        f'gpu="2",UUID="GPU-c",modelName="NVIDIA A100-SXM4-80GB",GPU_I_PROFILE="1g.10gb",'
        f'GPU_I_ID="7",{host}="n1"'
    )
    return page(
        f"DCGM_FI_DEV_GPU_UTIL{{{used}}} 87",
        f"DCGM_FI_DEV_GPU_UTIL{{{second}}} 0",
        f"DCGM_FI_DEV_FB_USED{{{used}}} 40000",
        f"DCGM_FI_DEV_FB_FREE{{{used}}} 41000",
        f"DCGM_FI_DEV_FB_RESERVED{{{used}}} 600",
        f"DCGM_FI_DEV_FB_USED{{{second}}} 10",
        f"DCGM_FI_DEV_FB_FREE{{{second}}} 81000",
        f"DCGM_FI_DEV_POWER_USAGE{{{used}}} 311.5",
        f"DCGM_FI_DEV_GPU_TEMP{{{used}}} 61",
        f"DCGM_FI_DEV_GPU_TEMP{{{second}}} 9223372036854775794",
        f"DCGM_FI_DEV_XID_ERRORS{{{used}}} 79",
        f"DCGM_FI_DEV_XID_ERRORS{{{second}}} 0",
        f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{used}}} 0.5",
        f"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{{{used}}} 0.25",
        f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{slice_}}} 0.4",
        f"DCGM_FI_DEV_FB_USED{{{slice_}}} 2000",
        f"DCGM_FI_DEV_FB_FREE{{{slice_}}} 7728",
    )


_H = 'device_index="0",device_uuid="GPU-h",device_type="NVIDIA-Tesla V100-PCIE-32GB"'
HAMI = page(
    f"hami_host_gpu_utilization_ratio{{{_H}}} 42",
    f"hami_host_gpu_memory_used_bytes{{{_H}}} {8 * 2**30}",
    'hami_vgpu_memory_used_bytes{namespace="ml",pod="a",container="m",vdevice_index="0",'
    'device_uuid="GPU-h"} 1e9',
    'hami_vgpu_memory_used_bytes{namespace="ml",pod="b",container="m",vdevice_index="0",'
    'device_uuid="GPU-h"} 0',
)
_L = 'deviceidx="0",deviceuuid="GPU-h",devicetype="NVIDIA-Tesla V100-PCIE-32GB",zone="vGPU"'
HAMI_LEGACY = page(
    f"HostCoreUtilization{{{_L}}} 42",
    f"HostGPUMemoryUsage{{{_L}}} {8 * 2**30}",
    'vGPU_device_memory_usage_in_bytes{podnamespace="ml",podname="a",ctrname="m",vdeviceid="0",'
    'deviceuuid="GPU-h"} 1e9',
    'vGPU_device_memory_usage_in_bytes{podnamespace="ml",podname="b",ctrname="m",vdeviceid="0",'
    'deviceuuid="GPU-h"} 0',
)
_A = 'gpu_id="3",card_model="AMD Instinct MI300X",serial_number="S1",hostname="n2"'
AMD = page(
    f'gpu_gfx_activity{{{_A},pod="chat-0",namespace="ml"}} 55',
    f"gpu_used_vram{{{_A}}} 98296",
    f"gpu_total_vram{{{_A}}} 196592",
    f"gpu_package_power{{{_A}}} 640",
    f"gpu_junction_temperature{{{_A}}} 71",
)
