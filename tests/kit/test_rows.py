"""What stands in every row of a long list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.template import Context, Template
from django.urls import NoReverseMatch, reverse, set_script_prefix

from fleetportal.kit.paths import path_to

KEY = UUID("5e5e5e5e-0000-4000-8000-000000000001")


@dataclass(frozen=True)
class Line:
    shape: str = "2 x A100"
    nodes: int = 5
    whole_free: int | None = 3
    addable: int | None = None
    provisionable: bool = False
    capacity_type: str = "on-demand"
    unseen: bool = False


def render(source: str, **context: Any) -> str:
    return Template("{% load rows %}" + source).render(Context(context))


def shown(line: Line) -> str:
    return render("{% shapes lines %}", lines=[line])


@pytest.mark.parametrize(
    ("line", "room"),
    [
        (Line(), "3 of 5"),
        (Line(provisionable=True, addable=1200), "+1,200 new"),
        (Line(provisionable=True), '<span class="unknown-text">no quota declared</span>'),
        (Line(unseen=True), '<span class="unknown-text">unknown</span> of 5'),
        (Line(unseen=True, provisionable=True), '<span class="unknown-text">unknown</span>'),
        (Line(whole_free=0, nodes=0), "0 of 0"),
    ],
)
def test_a_shape_says_what_is_left_of_it(line: Line, room: str) -> None:
    assert f'<span class="room">{room}</span> <span class="soft">2 x A100</span>' in shown(line)


def test_a_shape_is_escaped_and_says_what_capacity_it_is() -> None:
    assert "&lt;b&gt;, spot</span>" in shown(Line(shape="<b>", capacity_type="spot"))


def test_a_cluster_without_gpu_nodes_says_so() -> None:
    assert render("{% shapes lines %}", lines=[]) == (
        '<ul class="plain-list shapes"><li class="faint">no GPU nodes</li></ul>'
    )


def test_the_strip_marks_the_stage_at_which_a_rollout_stands() -> None:
    stages = [
        {"name": "test", "label": "Passed", "tone": "ok"},
        {"name": "<i>", "label": "Waiting", "tone": "wait"},
    ]
    html = render("{% stage_strip stages %}", stages=stages)
    assert html.startswith('<ol class="stage-strip"><li><span class="shape tone-ok"></span>test')
    assert '<li class="now"><span class="shape tone-wait"></span>&lt;i&gt;<span' in html


@pytest.mark.parametrize("name", ["deployment", "rollout", "approval", "plan"])
def test_a_path_is_the_one_that_the_resolver_gives(name: str) -> None:
    assert path_to(name, KEY) == path_to(name, str(KEY)) == reverse(name, args=[KEY])
    assert render(f"{{% to '{name}' key %}}", key=KEY) == reverse(name, args=[KEY])


def test_a_path_follows_the_prefix_under_which_the_portal_stands() -> None:
    path_to("plan", KEY)
    set_script_prefix("/gpu/")
    try:
        assert path_to("plan", KEY) == reverse("plan", args=[KEY])
        assert path_to("plan", KEY).startswith("/gpu/")
    finally:
        set_script_prefix("/")


def test_a_page_that_is_not_there_has_no_path() -> None:
    with pytest.raises(NoReverseMatch):
        path_to("nowhere", KEY)
