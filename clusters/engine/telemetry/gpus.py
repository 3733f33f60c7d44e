"""GPU exporters' metrics in one language: DCGM (NVIDIA), HAMi's monitor, AMD's exporter.

Units trap by trap: DCGM's utilisation is 0..100 and its PROF ratios 0..1; HAMi's `_ratio` is
0..100; AMD's megabytes are MiB. A value that a card does not support comes as a huge integer and
is unknown. Nothing here raises on what an exporter sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from clusters.engine.telemetry.exposition import Labels, Page, read
from clusters.engine.telemetry.types import GpuSample

IDLE_BELOW = 5.0  # % of utilisation
_MIB = 2.0**20
_SANE = {  # above: the exporter's mark for "not supported"
    "util": 100.5,
    "tensor": 100.5,
    "memory_used": 1e8,
    "memory_total": 1e8,
    "power": 1e5,
    "temperature": 1e3,
    "xid": 1e6,
}

# name -> (what it is, factor). Of two names for one thing the later one here wins.
_DCGM: Mapping[str, tuple[str, float]] = {
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": ("engine", 100.0),  # stands in for util on MIG instances
    "DCGM_FI_DEV_GPU_UTIL": ("util", 1.0),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": ("tensor", 100.0),
    "DCGM_FI_DEV_FB_USED": ("memory_used", 1.0),
    "DCGM_FI_DEV_FB_FREE": ("free", 1.0),
    "DCGM_FI_DEV_FB_RESERVED": ("reserved", 1.0),
    "DCGM_FI_DEV_POWER_USAGE": ("power", 1.0),
    "DCGM_FI_DEV_GPU_TEMP": ("temperature", 1.0),
    "DCGM_FI_DEV_XID_ERRORS": ("xid", 1.0),
}
_HAMI: Mapping[str, tuple[str, float]] = {
    "HostCoreUtilization": ("util", 1.0),
    "HostGPUMemoryUsage": ("memory_used", 1 / _MIB),
    "GPUDeviceMemoryLimit": ("memory_total", 1 / _MIB),
    "hami_host_gpu_utilization_ratio": ("util", 1.0),
    "hami_host_gpu_memory_used_bytes": ("memory_used", 1 / _MIB),
    "hami_host_gpu_memory_total_bytes": ("memory_total", 1 / _MIB),
    "hami_gpu_memory_limit_bytes": ("memory_total", 1 / _MIB),
    "hami_host_gpu_temperature_celsius": ("temperature", 1.0),
    "hami_host_gpu_power_usage_watts": ("power", 1.0),
    "vGPU_device_memory_usage_in_bytes": ("holder", 1.0),
    "hami_vgpu_memory_used_bytes": ("holder", 1.0),
}
_AMD: Mapping[str, tuple[str, float]] = {
    "gpu_gfx_activity": ("util", 1.0),
    "gpu_used_vram": ("memory_used", 1.0),  # said to be MB: amd-smi counts by 2^20
    "gpu_total_vram": ("memory_total", 1.0),
    "gpu_power_usage": ("power", 1.0),
    "gpu_average_package_power": ("power", 1.0),
    "gpu_package_power": ("power", 1.0),
    "gpu_edge_temperature": ("temperature", 1.0),
    "gpu_junction_temperature": ("temperature", 1.0),
}
_KINDS = {"dcgm": _DCGM, "hami": _HAMI, "amd": _AMD}
WANTED: Mapping[str, frozenset[str]] = {kind: frozenset(names) for kind, names in _KINDS.items()}

_NODE = ("Hostname", "hostname", "exported_node", "node", "nodeid")
_INDEX = ("gpu", "device_index", "deviceidx", "gpu_id")
_UUID = ("UUID", "device_uuid", "deviceuuid", "gpu_uuid")
_MODEL = ("modelName", "device_type", "devicetype", "card_model", "card_series")
_SERIAL = "serial_number"  # of AMD cards that say no uuid
_EXPORTERS = ("dcgm-exporter", "metrics-exporter", "hami-device-plugin", "vgpu-monitor")
_POD = ("pod", "pod_name", "podname")
_NAMESPACE = ("namespace", "pod_namespace", "podnamespace")


class _Card:
    """What is known of one card, or one MIG instance, while series of it come in."""

    def __init__(self, node: str, labels: Labels) -> None:
        self.node = node
        self.labels = labels
        self.values: dict[str, float] = {}
        self.pods: set[str] = set()


def read_gpus(body: bytes, kind: str, node: str) -> tuple[GpuSample, ...]:
    """The cards that an exporter of `kind` (dcgm, hami, amd) on `node` knows."""
    return gpus_of(read(body, WANTED[kind]), kind, node)


def gpus_of(
    page: Page, kind: str, node: str = "", *, exporters: Mapping[str, str] | None = None
) -> tuple[GpuSample, ...]:
    """The same of an exposition that is read already, or that a Prometheus was asked for.

    `node` empty: by the exporter, or the labels. `exporters`: pod (namespace/name) -> its node; a
    Prometheus puts their names on every series, and they are nobody's users of a card.
    """
    known = exporters or {}
    cards: dict[tuple[str, str, str], _Card] = {}
    renamed = _renames(page)
    for name, (field, factor) in _KINDS[kind].items():
        for labels, value in page.series(name):
            card = _card(cards, labels, node or known.get(_pod(labels, False), ""))
            if card is None:
                continue
            pod = _pod(labels, renamed)
            if pod and pod not in known and (renamed or not _of_exporter(labels)):
                card.pods.add(pod)
            if field != "holder" and value >= 0:  # NaN is not
                card.values[field] = value * factor
    found = (_sample(kind, card) for card in cards.values())
    return tuple(sorted(found, key=lambda gpu: (gpu.node, gpu.index, gpu.uuid)))


def _card(cards: dict[tuple[str, str, str], _Card], labels: Labels, node: str) -> _Card | None:
    uuid = _first(labels, _UUID) or labels.get(_SERIAL, "")
    index = _first(labels, _INDEX)
    where = node or _first(labels, _NODE)
    if not (uuid or index) or not where:
        return None
    key = (where, uuid or index, labels.get("GPU_I_ID", ""))
    if key not in cards:
        cards[key] = _Card(where, labels)
    return cards[key]


def _sample(kind: str, card: _Card) -> GpuSample:
    labels, values = card.labels, card.values
    known = {
        field: value for field, value in values.items() if value <= _SANE.get(field, float("inf"))
    }
    instance = labels.get("GPU_I_ID", "")
    uuid = _first(labels, _UUID) or labels.get(_SERIAL, "")
    return GpuSample(
        node=card.node,
        index=_index(_first(labels, _INDEX)),
        uuid=f"{uuid}/{instance}" if instance else uuid,
        vendor=_vendor(kind, labels),
        model=_first(labels, _MODEL),
        util=known.get("util", _percent(known.get("engine"))),
        memory_used=known.get("memory_used"),
        memory_total=_memory_total(known),
        power=known.get("power"),
        temperature=known.get("temperature"),
        tensor=known.get("tensor"),
        xid=int(known["xid"]) if "xid" in known else None,
        mig=labels.get("GPU_I_PROFILE", ""),
        pods=tuple(sorted(card.pods)),
    )


def _percent(value: float | None) -> float | None:
    return value if value is not None and value <= _SANE["util"] else None


def _memory_total(known: Mapping[str, float]) -> float | None:
    """DCGM says parts; older exporters leave out what the driver keeps."""
    if "memory_total" in known:
        return known["memory_total"]
    if "memory_used" not in known or not known.get("free", 1e9) < _SANE["memory_total"]:
        return None
    reserved = known.get("reserved", 0.0)
    return known["memory_used"] + known["free"] + (reserved if reserved < 1e8 else 0.0)


def _renames(page: Page) -> bool:
    """Whether a Prometheus moved the exporter's own labels to exported_*: then `pod` is its pod."""
    return any("exported_pod" in labels for held in page.samples.values() for labels, _ in held)


def _pod(labels: Labels, renamed: bool) -> str:
    prefix = "exported_" if renamed else ""
    pod = _first(labels, tuple(prefix + name for name in _POD))
    namespace = _first(labels, tuple(prefix + name for name in _NAMESPACE))
    return f"{namespace}/{pod}" if pod else ""


def _of_exporter(labels: Labels) -> bool:
    """Whether these are the names of the exporter's own pod: a Prometheus puts them on the series
    of a card that nobody holds. In the past that pod may have had a name that nobody knows now."""
    names = (labels.get("container", ""), _first(labels, _POD))
    return any(word in name for name in names for word in _EXPORTERS)


def _vendor(kind: str, labels: Labels) -> str:
    text = _first(labels, _MODEL).lower()
    if kind == "amd" or text.startswith(("amd", "instinct", "dcu")):
        return "amd"
    return "intel" if text.startswith(("intel", "habana")) else "nvidia"


def _first(labels: Labels, names: Sequence[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _index(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def continued(
    before: Sequence[GpuSample], now: Sequence[GpuSample], at: float
) -> tuple[GpuSample, ...]:
    """`now` with what only two looks can tell: whether the XID is new, and idle since when.

    The XID gauge shows the last error for ever; it is news when it changes to another number. An
    unknown utilisation keeps an idle clock as it was. `at`: unix seconds of the look.
    """
    known = {(gpu.node, gpu.index, gpu.uuid): gpu for gpu in before}
    return tuple(_continued(known.get((gpu.node, gpu.index, gpu.uuid)), gpu, at) for gpu in now)


def _continued(before: GpuSample | None, gpu: GpuSample, at: float) -> GpuSample:
    since = before.idle_since if before else None
    if gpu.util is not None:
        since = (since if since is not None else at) if gpu.util < IDLE_BELOW else None
    changed: dict[str, Any] = {"idle_since": since}
    if before and before.xid is not None and gpu.xid:
        changed["xid_changed"] = gpu.xid != before.xid
    return msgspec.structs.replace(gpu, **changed)
