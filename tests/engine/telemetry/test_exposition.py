"""Reading Prometheus text: what a library reads, bad lines, cut pages, odd numbers, huge pages."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from clusters.engine.telemetry import exposition
from clusters.engine.telemetry.exposition import Page, histogram, read
from clusters.engine.telemetry.runtimes import WANTED
from clusters.engine.telemetry.types import Histogram
from tests.engine.telemetry import expositions

PAGES = {
    "vllm": expositions.VLLM,
    "vllm-old": expositions.VLLM_OLD,
    "sglang": expositions.sglang([(0, 0), (1, 0)]),
    "tgi": expositions.TGI,
    "triton": expositions.TRITON,
    "dcgm": expositions.dcgm(),
    "hami": expositions.HAMI,
    "amd": expositions.AMD,
}


def library(body: bytes) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), float(sample.value)))
    return found


@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads_as_the_prometheus_library_reads_it(name: str) -> None:
    expected = library(PAGES[name])
    page = read(PAGES[name], expected.keys())
    assert page.skipped == 0 and not page.broken
    assert {key: [(dict(one), value) for one, value in held] for key, held in
            page.samples.items()} == expected  # fmt: skip


NAMES = st.sampled_from(["a", "a_total", "ns:b", "_c"])
VALUES = st.floats(allow_nan=False) | st.integers(-(10**12), 10**12).map(float)
LABELS = st.dictionaries(
    st.sampled_from(["le", "pod", "model_name", "x_1"]),
    st.text(st.characters(codec="utf-8"), max_size=12),
    max_size=4,
)


def written(name: str, labels: dict[str, str], value: float, style: int) -> str:
    """One sample in one of the ways that exporters write it."""
    text = [
        key + '="' + held.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"") + '"'
        for key, held in labels.items()
    ]
    number = {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, repr(value))
    joined = [",".join(text), ", ".join(text), ",".join(text) + ("," if text else "")][style % 3]
    braces = f"{{{joined}}}" if labels or style % 2 else ""
    end = ["", " 1700000000000", ' 1700000000.123 # {trace_id="a b"} 0.5 1.2', "\r"][style % 4]
    return f"{name}{braces} {number}{end}"


@given(st.lists(st.tuples(NAMES, LABELS, VALUES, st.integers(0, 11)), max_size=20))
def test_what_is_written_is_read_back(
    rows: list[tuple[str, dict[str, str], float, int]],
) -> None:
    text = "".join(written(*row) + "\n" for row in rows)
    page = read(text.encode(), {"a", "a_total", "ns:b", "_c"})
    expected: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value, _ in rows:
        expected.setdefault(name, []).append((labels, value))
    assert page.samples == expected and page.skipped == 0


def test_one_bad_line_costs_its_own_metric_and_not_the_page() -> None:
    body = b'a{x="1"} 1\na{x="2"} not-a-number\nb 2\n}}} nonsense\n\x00\xff\n'
    page = read(body, {"a", "b"})
    assert page.samples == {"b": [({}, 2.0)]}
    assert page.broken == {"a"} and page.skipped == 1


@pytest.mark.parametrize(
    "line",
    ['a{x="1} 1', "a{x=1} 1", 'a{x="1"', "a", "a 1_000", "a 0x1p3", 'a{x="1" y="2"} 1', "a {} {}"],
)
def test_a_line_that_is_no_sample_is_counted(line: str) -> None:
    page = read(f"{line}\nb 1\n".encode(), {"a", "b"})
    assert page.broken == {"a"} and page.skipped == 1 and "b" in page.samples


def test_the_last_metric_of_a_page_that_was_cut_is_not_trusted() -> None:
    page = read(b'b 1\na{x="1"} 10\na{x="2"} 12', {"a", "b"})
    assert not page.whole and page.samples == {"b": [({}, 1.0)]}


def test_a_huge_page_is_read_up_to_the_bound_and_in_bounded_time() -> None:
    line = b'other{pod="' + b"x" * 80 + b'"} 1\n'
    body = b"a 1\nb 1\n" + line * (exposition.MAX_BYTES // len(line) + 1000) + b"c 1\n"
    began = time.perf_counter()
    page = read(body, {"a", "b", "c"})
    assert time.perf_counter() - began < 20
    assert (
        set(page.samples) == {"a"} and not page.whole
    )  # b was the last wanted name before the cut


@pytest.mark.parametrize(
    "evil", ['a{x="' + "\\" * 60_001, "a{" + '"",' * 20_000, "a" + " " * 60_000 + "!"]
)
def test_an_evil_line_is_read_in_linear_time(evil: str) -> None:
    began = time.perf_counter()
    assert read(f"{evil}\n".encode(), {"a"}).samples == {}
    assert time.perf_counter() - began < 2


@given(
    st.binary(max_size=400)
    | st.text(alphabet='ale_bucket{}=",\\\n 0123.eE+-#NanInf').map(str.encode)
)
def test_no_bytes_can_crash_the_reader(body: bytes) -> None:
    page = read(body, {"a", "a_bucket", "a_sum", "a_count"}, prefix="l")
    held = histogram(page, "a")
    assert held is None or (len(held.counts) == len(held.bounds) + 1 and min(held.counts) >= 0)


def test_bounds_are_numbers_whatever_their_text() -> None:
    body = b'h_bucket{p="1",le="5"} 1\nh_bucket{p="1",le="+Inf"} 2\n'
    body += b'h_bucket{p="2",le="5.0"} 3\nh_bucket{p="2",le="inf"} 4\nh_sum{p="1"} 1\nh_sum 2\n'
    assert histogram(read(body, {"h_bucket", "h_sum"}), "h") == Histogram((5.0,), (4, 2), 3.0)


def test_label_sets_with_other_bounds_are_added_on_the_bounds_that_they_share() -> None:
    page = Page(
        samples={
            "h_bucket": [
                *(({"p": "1", "le": le}, v) for le, v in (("1", 1.0), ("2", 3.0), ("+Inf", 4.0))),
                *(({"p": "2", "le": le}, v) for le, v in (("2", 5.0), ("4", 6.0), ("+Inf", 6.0))),
            ],
            "h_sum": [({}, 9.0)],
        }
    )
    assert histogram(page, "h") == Histogram((2.0,), (8, 2), 9.0)


def test_falling_bucket_counts_are_lifted_and_a_missing_infinity_is_the_last_bucket() -> None:
    page = read(b'h_bucket{le="1"} 5\nh_bucket{le="2"} 4\nh_sum 3\n', {"h_bucket", "h_sum"})
    assert histogram(page, "h") == Histogram((1.0, 2.0), (5, 0, 0), 3.0)


@pytest.mark.parametrize("value", ["NaN", "-1", "1e300", "+Inf"])
def test_a_histogram_with_an_impossible_bucket_is_unknown(value: str) -> None:
    page = read(f'h_bucket{{le="1"}} {value}\nh_sum 1\n'.encode(), {"h_bucket", "h_sum"})
    assert histogram(page, "h") is None


def test_a_histogram_without_a_readable_sum_keeps_its_counts_and_an_unknown_mean() -> None:
    held = histogram(read(b'h_bucket{le="1"} 5\nh_sum NaN\n', {"h_bucket", "h_sum"}), "h")
    assert held is not None and held.counts == (5, 0) and math.isnan(held.total)


def test_a_declared_metric_without_a_value_is_known_to_be_exported() -> None:
    page = read(b"# HELP x_total Help\n# TYPE x_total counter\n# TYPE y counter\n", WANTED)
    assert page.has("x_total") and page.has("y_total") and not page.has("z_total")
