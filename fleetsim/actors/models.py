"""The model facts that the simulated KAITO knows: 60 catalog entries and 25 short aliases.

Weights, KV bytes per token and context limits are KAITO's own (presets/workspace/models and the
generator's rules, v0.12.0). The portal has its own catalog; the two never import each other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """`weights_gib` in GiB, `kv_bytes` per token, `context_limit` in tokens."""

    name: str
    alias: str
    weights_gib: float
    kv_bytes: int
    context_limit: int
    transformers: bool = False  # has parameters for the transformers runtime

    @property
    def served_name(self) -> str:
        """What a standalone Workspace serves: last part of the id, lower case."""
        return self.name.rsplit("/", 1)[-1].lower()


# name, alias, weights GiB, KV bytes per token, context limit, transformers runtime
_ROWS: tuple[tuple[str, str, float, int, int, bool], ...] = (
    ("deepseek-ai/DeepSeek-R1-0528", "deepseek-r1-0528", 641.3, 70272, 163840, True),
    (
        "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
        "deepseek-r1-distill-llama-8b",
        14.96,
        131072,
        131072,
        True,
    ),
    (
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
        "deepseek-r1-distill-qwen-14b",
        27.51,
        196608,
        131072,
        True,
    ),
    ("deepseek-ai/DeepSeek-V3-0324", "deepseek-v3-0324", 641.3, 70272, 163840, True),
    ("deepseek-ai/DeepSeek-V3.2", "", 642.14, 70272, 163840, False),
    ("deepseek-ai/DeepSeek-V4-Flash-0731", "", 155.43, 88064, 1048576, False),
    ("deepseek-ai/DeepSeek-V4-Pro", "", 805.34, 124928, 1048576, False),
    ("google/gemma-3-27b-it", "gemma-3-27b-instruct", 51.1, 507904, 131072, True),
    ("google/gemma-3-4b-it", "gemma-3-4b-instruct", 8.01, 139264, 131072, True),
    ("google/gemma-4-12B-it", "", 22.28, 393216, 262144, False),
    ("google/gemma-4-26B-A4B-it", "", 48.07, 245760, 262144, False),
    ("google/gemma-4-31B-it", "", 58.25, 983040, 262144, False),
    ("google/gemma-4-E2B-it", "", 9.54, 35840, 131072, False),
    ("google/gemma-4-E4B-it", "", 14.89, 86016, 131072, False),
    ("ibm-granite/granite-4.1-8b", "", 16.38, 163840, 131072, False),
    ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b-instruct", 14.96, 131072, 131072, True),
    ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b-instruct", 131.42, 327680, 131072, True),
    (
        "microsoft/Phi-3-medium-128k-instruct",
        "phi-3-medium-128k-instruct",
        26.0,
        204800,
        131072,
        True,
    ),
    ("microsoft/Phi-3-medium-4k-instruct", "phi-3-medium-4k-instruct", 26.0, 204800, 4096, True),
    ("microsoft/Phi-3-mini-128k-instruct", "phi-3-mini-128k-instruct", 7.12, 393216, 131072, True),
    ("microsoft/Phi-3-mini-4k-instruct", "phi-3-mini-4k-instruct", 7.12, 393216, 4096, True),
    ("microsoft/Phi-3.5-mini-instruct", "phi-3.5-mini-instruct", 7.12, 393216, 131072, True),
    ("microsoft/phi-4", "phi-4", 27.31, 204800, 16384, True),
    ("microsoft/Phi-4-mini-instruct", "phi-4-mini-instruct", 7.15, 131072, 131072, False),
    ("MiniMaxAI/MiniMax-M2.7", "", 214.34, 253952, 204800, False),
    (
        "mistralai/Ministral-3-14B-Instruct-2512",
        "ministral-3-14b-instruct",
        14.65,
        163840,
        262144,
        False,
    ),
    (
        "mistralai/Ministral-3-3B-Instruct-2512",
        "ministral-3-3b-instruct",
        4.35,
        106496,
        262144,
        False,
    ),
    (
        "mistralai/Ministral-3-8B-Instruct-2512",
        "ministral-3-8b-instruct",
        9.7,
        139264,
        262144,
        False,
    ),
    ("mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b-instruct", 13.5, 131072, 32768, True),
    ("mistralai/Mistral-7B-v0.3", "mistral-7b", 13.5, 131072, 32768, True),
    (
        "mistralai/Mistral-Large-3-675B-Instruct-2512",
        "mistral-large-3-675b-instruct",
        634.7,
        70272,
        294912,
        False,
    ),
    ("mistralai/Mistral-Medium-3.5-128B", "", 124.43, 360448, 262144, False),
    ("mistralai/Mistral-Small-4-119B-2603", "", 112.63, 23040, 1048576, False),
    ("mistralai/Mistral-Small-4-119B-2603-NVFP4", "", 65.95, 23040, 1048576, False),
    ("moonshotai/Kimi-K2.5", "", 554.32, 70272, 262144, False),
    ("moonshotai/Kimi-K2.6", "", 554.32, 70272, 262144, False),
    ("moonshotai/Kimi-K2.7-Code", "", 554.32, 70272, 262144, False),
    ("nvidia/Nemotron-Cascade-2-30B-A3B", "", 58.82, 53248, 262144, False),
    ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "", 58.82, 53248, 262144, False),
    ("nvidia/NVIDIA-Nemotron-3-Nano-4B-BF16", "", 7.4, 172032, 262144, False),
    ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16", "", 230.25, 90112, 262144, False),
    ("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-NVFP4", "", 328.13, 110592, 262144, False),
    ("nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-BF16", "", 24.55, 253952, 131072, False),
    ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", "", 16.56, 229376, 131072, False),
    ("openai/gpt-oss-120b", "gpt-oss-120b", 121.54, 73728, 131072, True),
    ("openai/gpt-oss-20b", "gpt-oss-20b", 25.63, 49152, 131072, True),
    ("Qwen/Qwen2.5-Coder-32B-Instruct", "qwen2.5-coder-32b-instruct", 61.03, 262144, 32768, True),
    ("Qwen/Qwen2.5-Coder-7B-Instruct", "qwen2.5-coder-7b-instruct", 14.19, 57344, 32768, True),
    ("Qwen/Qwen3-8B-AWQ", "", 5.68, 147456, 40960, False),
    ("Qwen/Qwen3.5-122B-A10B", "", 232.99, 98304, 262144, False),
    ("Qwen/Qwen3.5-122B-A10B-GPTQ-Int4", "", 73.47, 98304, 262144, False),
    ("Qwen/Qwen3.5-2B", "", 4.24, 49152, 262144, False),
    ("Qwen/Qwen3.5-397B-A17B-GPTQ-Int4", "", 219.56, 122880, 262144, False),
    ("Qwen/Qwen3.5-4B", "", 8.68, 131072, 262144, False),
    ("Qwen/Qwen3.5-9B", "", 17.98, 131072, 262144, False),
    ("Qwen/Qwen3.6-27B", "", 51.75, 262144, 262144, False),
    ("Qwen/Qwen3.6-35B-A3B", "", 66.97, 81920, 262144, False),
    ("Qwen/Qwen3.6-35B-A3B-FP8", "", 34.9, 81920, 262144, False),
    ("Qwen/Qwen3.8-27B", "", 51.75, 262144, 262144, False),
    ("zai-org/GLM-5.2-FP8", "", 703.75, 89856, 1048576, False),
)

MODELS: dict[str, Model] = {row[0].lower(): Model(*row) for row in _ROWS}
ALIASES: dict[str, str] = {row[1]: row[0].lower() for row in _ROWS if row[1]}

# Non-catalog ids are looked up live; without a figure KAITO reads the repository. The simulation
# takes a small dense model for all of them.
_UNLISTED_WEIGHTS_GIB = 14.0
_UNLISTED_KV_BYTES = 131072
_UNLISTED_CONTEXT = 32768


def find(preset: str) -> Model | None:
    """The model of a preset name, in any case, by id or alias; None when KAITO would refuse it."""
    key = preset.lower()
    listed = MODELS.get(ALIASES.get(key, key))
    if listed or key.count("/") != 1 or not all(key.split("/")):
        return listed
    return Model(preset, "", _UNLISTED_WEIGHTS_GIB, _UNLISTED_KV_BYTES, _UNLISTED_CONTEXT)
