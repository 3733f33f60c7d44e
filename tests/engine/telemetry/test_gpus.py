"""DCGM, HAMi and AMD: exact samples, each unit trap, and what two looks tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.engine.telemetry.gpus import continued, read_gpus
from clusters.engine.telemetry.types import GpuSample
from tests.engine.telemetry import expositions
from tests.engine.telemetry.expositions import page

A100 = "NVIDIA A100-SXM4-80GB"


def test_dcgm_reads_to_these_samples() -> None:
    used, free, instance = read_gpus(expositions.dcgm(), "dcgm", "node-1")
    assert used == GpuSample(
        node="node-1",
        index=0,
        uuid="GPU-a",
        vendor="nvidia",
        model=A100,
        util=87.0,
        memory_used=40000.0,
        memory_total=81600.0,
        power=311.5,
        temperature=61.0,
        tensor=25.0,
        xid=79,
        pods=("ml/chat-0",),
    )
    assert (free.util, free.memory_total, free.xid, free.pods) == (0.0, 81010.0, 0, ())
    assert (instance.uuid, instance.mig, instance.index) == ("GPU-c/7", "1g.10gb", 2)


def test_a_mig_instance_without_utilisation_takes_the_engines_ratio_as_percent() -> None:
    instance = read_gpus(expositions.dcgm(), "dcgm", "n")[2]
    assert instance.util == 40.0 and instance.memory_total == 9728.0


def test_utilisation_wins_over_the_engines_ratio_where_both_are_exported() -> None:
    assert read_gpus(expositions.dcgm(), "dcgm", "n")[0].util == 87.0


def test_a_huge_integer_is_a_value_that_the_card_does_not_support() -> None:
    assert read_gpus(expositions.dcgm(), "dcgm", "n")[1].temperature is None
    marks = {
        "GPU_UTIL": 9223372036854775794,
        "FB_USED": 2147483632,
        "POWER_USAGE": 140737488355328,
        "XID_ERRORS": 9223372036854775794,
    }
    rows = (f'DCGM_FI_DEV_{name}{{gpu="0",UUID="u"}} {value}' for name, value in marks.items())
    body = page(*rows)
    (card,) = read_gpus(body, "dcgm", "n")
    assert (card.util, card.memory_used, card.memory_total, card.power, card.xid) == (None,) * 5


@pytest.mark.parametrize("host", ["hostname", "Hostname"])
def test_both_host_labels_name_the_node_where_nothing_else_does(host: str) -> None:
    assert {card.node for card in read_gpus(expositions.dcgm(host), "dcgm", "")} == {"n1"}


def test_the_user_is_the_exported_pod_where_a_prometheus_renamed_it() -> None:
    body = expositions.dcgm(
        pod='exported_pod="chat-0",exported_namespace="ml",pod="dcgm-x",namespace="gpu-operator"'
    ).replace(b'pod="",namespace=""', b'pod="dcgm-x",namespace="gpu-operator"')
    assert [card.pods for card in read_gpus(body, "dcgm", "n")] == [("ml/chat-0",), (), ()]


@pytest.mark.parametrize(
    "labels",
    [
        'container="nvidia-dcgm-exporter",pod="nvidia-dcgm-exporter-x7"',
        'container="exporter",pod="prom-dcgm-exporter-x7"',
        'pod="dcgm-exporter-x7"',
    ],
)
def test_cards_that_nobody_holds_are_not_held_by_an_exporter_whose_pod_is_gone(labels: str) -> None:
    """Where no card is held, nothing tells that a Prometheus put the names there."""
    row = f'DCGM_FI_DEV_GPU_UTIL{{gpu="0",UUID="u",namespace="gpu-operator",{labels}}} 0'
    (card,) = read_gpus(page(row), "dcgm", "n")
    assert card.pods == ()


@pytest.mark.parametrize("body", [expositions.HAMI, expositions.HAMI_LEGACY])
def test_hami_reads_by_new_and_legacy_names_and_its_ratio_is_percent(body: bytes) -> None:
    (card,) = read_gpus(body, "hami", "node-1")
    assert card == GpuSample(
        node="node-1",
        index=0,
        uuid="GPU-h",
        vendor="nvidia",
        model="NVIDIA-Tesla V100-PCIE-32GB",
        util=42.0,
        memory_used=8192.0,
        pods=("ml/a", "ml/b"),
    )


def test_amd_reads_megabytes_as_mebibytes() -> None:
    (card,) = read_gpus(expositions.AMD, "amd", "node-2")
    assert card == GpuSample(
        node="node-2",
        index=3,
        uuid="S1",
        vendor="amd",
        model="AMD Instinct MI300X",
        util=55.0,
        memory_used=98296.0,
        memory_total=196592.0,
        power=640.0,
        temperature=71.0,
        pods=("ml/chat-0",),
    )


def card(util: float | None = None, xid: int | None = None, uuid: str = "u") -> GpuSample:
    return GpuSample("n", 0, uuid, "nvidia", "A100", util=util, xid=xid)


def test_an_xid_is_news_when_it_changes_to_another_number_and_only_then() -> None:
    def news(*xids: int | None) -> list[bool]:
        now: tuple[GpuSample, ...] = ()
        found = []
        for at, xid in enumerate(xids):
            now = continued(now, [card(xid=xid)], at)
            found.append(now[0].xid_changed)
        return found

    assert news(79, 79) == [False, False]  # sticky, and old when we first looked
    assert news(0, 79, 79, 31, 0, 31) == [False, True, False, True, False, True]
    assert news(None, 79) == [False, False]


def test_a_card_is_idle_since_it_was_first_seen_idle_and_unknown_does_not_end_it() -> None:
    now: tuple[GpuSample, ...] = ()
    found = []
    for at, util in ((10.0, 80.0), (20.0, 0.0), (30.0, 0.5), (40.0, None), (50.0, 0), (60.0, 5.0)):
        now = continued(now, [card(util)], at)
        found.append(now[0].idle_since)
    assert found == [None, 20.0, 20.0, 20.0, 20.0, None]


def test_cards_are_followed_by_their_identity_and_not_by_their_place() -> None:
    before = continued((), [card(0.0, uuid="a"), card(90.0, uuid="b")], 1.0)
    now = continued(before, [card(0.0, uuid="b"), card(0.0, uuid="a")], 2.0)
    assert [(gpu.uuid, gpu.idle_since) for gpu in now] == [("b", 2.0), ("a", 1.0)]


LINES = [
    line
    for body in (expositions.dcgm(), expositions.HAMI, expositions.AMD)
    for line in body.decode().splitlines()
]


@given(
    st.lists(
        st.sampled_from(LINES)
        | st.builds(
            lambda name, index, value: f'{name}{{gpu="{index}",UUID="u{index}"}} {value}',
            st.sampled_from([line.partition("{")[0] for line in LINES]),
            st.text(max_size=3),
            st.floats() | st.integers(),
        ),
        max_size=20,
    ),
    st.sampled_from(["dcgm", "hami", "amd"]),
)
def test_no_exporter_can_crash_the_reader_or_make_an_impossible_sample(
    lines: list[str], kind: str
) -> None:
    for gpu in read_gpus(page(*lines), kind, "n"):
        assert gpu.util is None or 0 <= gpu.util <= 100.5
        assert gpu.tensor is None or 0 <= gpu.tensor <= 100.5
        assert all(
            value is None or 0 <= value < 1e9
            for value in (gpu.memory_used, gpu.memory_total, gpu.power, gpu.temperature)
        )
