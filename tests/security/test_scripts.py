"""Markup in everything that people or clusters can write, and in every parameter of a page.

One composite of payloads goes into each sink with the sink's own mark, then every page is read:
no fragment may stand in it as it was written, and the marks prove that the sinks were reached.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.utils import timezone

from clusters.models import Check, Cluster, ObservedObject
from clusters.selectors.facts import pack
from clusters.services.registration import cluster_cordon
from fleetportal.accounts.models import Team, User
from fleetportal.accounts.principal import Principal
from rollouts.models import Approval, Gate, Rollout, Stage, Target
from tests.engine.placement_world import story
from tests.security.matrix import is_api, names, url_of
from tests.security.table import ROWS
from tests.security.world import World, body_of
from workspaces.models import Deployment, Plan, Revision, Workspace

pytestmark = pytest.mark.django_db

FRAGMENTS = (
    "<script>zq(1)</script>",
    "<img src=x onerror=zq(2)>",
    "<svg/onload=zq(3)>",
    "</textarea><zq4>",
    '"><zq5>',
    "'><zq6>",
    '" onfocus=zq(7) "',
    "' onfocus=zq(8) '",
    '<a href="javascript:zq(9)">',
    "</script><zq10>",
    "<!--zq11",
    "<style>zq12",
)
PAYLOAD = "".join(FRAGMENTS)
SHORT = "<zq5>\"'><script>zq(1)</script>"
EVALUATED = ("{{7*191}}zq", "1337zq")  # a template that is rendered twice would say the second


def mark(name: str, text: str = PAYLOAD) -> str:
    return f"mark-{name} {EVALUATED[0]} {text}"


def short(name: str) -> str:
    return f"mark-{name} {SHORT}"


@pytest.fixture
def stained(world: World) -> World:
    """The rows of team assist, with markup wherever somebody else's text is kept."""
    rollout = Rollout.objects.get(pk=world.urls["rollout"]["assist"]["pk"])
    Team.objects.filter(slug="assist").update(name=short("team"))
    Deployment.objects.filter(pk=rollout.deployment_id).update(
        held=True, held_reason=mark("held")[:300]
    )
    Revision.objects.filter(pk=rollout.revision_id).update(
        quarantined_reason=mark("quarantine")[:300]
    )
    Plan.objects.filter(team__slug="assist").update(summary=mark("summary"))
    Stage.objects.filter(rollout=rollout).update(note=mark("note"))
    Gate.objects.filter(stage__rollout=rollout).update(message=mark("gate"))
    Target.objects.filter(rollout=rollout).update(message=mark("target"), state="failed")
    said = {"kind": "approval", "text": mark("wait"), "who": mark("who"), "until": ""}
    Rollout.objects.filter(pk=rollout.pk).update(waiting_for=said)
    stain_workspaces(rollout)
    stain_cluster(world)
    stain_checks(world, rollout)
    return world


def stain_workspaces(rollout: Rollout) -> None:
    condition = {
        "type": short("condition-type"),
        "status": "False",
        "reason": short("condition-reason"),
        "message": mark("condition-message"),
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "object": short("condition-object"),
    }
    Workspace.objects.filter(deployment=rollout.deployment_id).update(
        reason=short("reason")[:80],
        message=mark("message"),
        conditions=[condition],
        changed_outside=[short("path")],
    )
    for one in Workspace.objects.filter(deployment=rollout.deployment_id).select_related("cluster"):
        for owner, kind in (("", one.kind), (one.name, "Workspace")):
            ObservedObject.objects.create(
                cluster=one.cluster,
                kind=kind,
                namespace=one.namespace,
                name=one.name if not owner else f"{one.name}-{short('child')}",
                uid="u",
                resource_version="1",
                owner=owner,
                ours=not owner,
                body={"metadata": {"annotations": {short("key"): mark("annotation")}}},
                seen_at=timezone.now(),
            )


def stain_cluster(world: World) -> None:
    operator = world.askers["operator"].user
    assert operator is not None
    cluster = Cluster.objects.get(name="prod-weu")
    cluster_cordon(principal=Principal(operator), cluster=cluster, reason=short("cordon"))
    pool = story()[0].pools[0]
    Cluster.objects.filter(pk=cluster.pk).update(
        state="unreachable",
        state_reason=mark("state")[:300],
        environment=short("environment")[:40],
        region=short("region")[:60],
        labels={short("label"): short("value")},
        taints=[{"key": short("taint"), "value": short("taint-value"), "effect": "NoSchedule"}],
        pools_packed=pack((_pool(pool),)),
        nodes_packed=pack((_node(),)),
    )
    ObservedObject.objects.create(
        cluster=cluster,
        kind="Workspace",
        namespace=short("namespace"),
        name=mark("foreign")[:253],
        uid="f",
        resource_version="1",
        body={"spec": mark("spec")},
        seen_at=timezone.now(),
    )


def _pool(pool: Any) -> Any:
    from dataclasses import replace

    return replace(pool, key=short("pool"), gpu_model=short("gpu"), instance_type=short("type"))


def _node() -> Any:
    from clusters.engine.types import NodeFacts

    return NodeFacts(
        name=short("node"),
        pool=short("pool"),
        ready=False,
        cordoned=False,
        instance_type=short("type"),
        allocatable=2,
        used=1,
        physical=2,
        holders=((short("holder"), 1, short("holder-workspace")),),
        blocked=short("blocked"),
    )


def stain_checks(world: World, rollout: Rollout) -> None:
    """Answers of a model and of clusters, as a worker would have stored them."""
    team = Team.objects.get(slug="assist")
    admin = User.objects.get(username="admin")
    cluster = Cluster.objects.get(name="prod-weu")
    common: dict[str, Any] = {"team": team, "requested_by": admin, "cluster": cluster}
    done: dict[str, Any] = {**common, "state": "done", "finished_at": timezone.now()}
    failed = {
        **done,
        "state": "failed",
        "result": {"error": mark("error"), "remedy": mark("remedy")},
    }
    prompt = {"prompt": mark("prompt")}
    answer = {"answer": mark("answer"), "cluster": "prod-weu"}
    Check.objects.create(
        kind="workspaces.prompt",
        subject_id=str(rollout.deployment_id),
        request=prompt,
        result=answer,
        **done,
    )
    approval = Approval.objects.get(rollout=rollout)
    red = {"targets": [{"cluster": "prod-weu", "why": mark("why")}], "ready": 0, "of": 1}
    Check.objects.create(kind="rollouts.preflight", subject_id=str(approval.pk), result=red, **done)
    line = {
        "kind": short("kind"),
        "name": short("object"),
        "verdict": "refused",
        "why": mark("dry"),
    }
    plan = world.urls["plan"]["assist"]["pk"]
    Check.objects.create(
        kind="workspaces.dry_run",
        subject_id=plan,
        result={"clusters": {"prod-weu": [line]}},
        **done,
    )
    Check.objects.create(kind="clusters.connection", **failed)


TABS = ("", "?tab=objects", "?tab=revisions", "?tab=history", "?view=table", "?show=mine")


def crawl(client: Client, world: World) -> list[tuple[str, str]]:
    """Every page as it stands, its tabs, and its parts as htmx asks for them."""
    found = []
    for name in names():
        row = ROWS[name]
        if is_api(name) or "GET" not in row.cells or name == "audit_csv":
            continue
        for which in ("assist", "all") if row.kind else ("",):
            if row.kind and which not in world.urls[row.kind]:
                continue
            url = url_of(world, name, which)
            tabs = (
                "",
                "?tab=objects",
                "?tab=revisions",
                "?tab=history",
                "?view=table",
                "?show=mine",
            )
            for query in tabs:
                for headers in ({}, {"hx-request": "true", "hx-target": "prompt"}):
                    answer = client.get(url + query, headers=headers)
                    found.append((url + query, words_of(answer)))
    return found


def words_of(answer: HttpResponseBase) -> str:
    """The text that a browser would take for markup: JSON, cells and sheets are read by our scripts
    or saved, and `nosniff` keeps browsers from guessing."""
    kind = answer.headers.get("Content-Type", "")
    if kind.startswith(("application/json", "application/octet-stream", "text/csv")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return ""
    return body_of(answer).decode()


def unescaped(body: str) -> list[str]:
    return [one for one in (*FRAGMENTS, EVALUATED[1]) if one in body]


def test_no_stored_text_becomes_markup(stained: World) -> None:
    admin = stained.askers["admin"]
    act(stained)
    pages = crawl(admin.client, stained)
    wrong = [(url, hit) for url, body in pages if (hit := unescaped(body))]
    assert not wrong, wrong
    everything = "".join(body for _, body in pages)
    reached = {name for name in REACHED if f"mark-{name} " in everything}
    assert reached == REACHED, f"not shown anywhere: {sorted(REACHED - reached)}"


def act(world: World) -> None:
    """Texts that people type into forms, kept in the journal and beside votes."""
    engineer, approver = world.askers["engineer"].client, world.askers["approver"].client
    pk = world.urls["rollout"]["assist"]["pk"]
    engineer.post(f"/rollouts/{pk}/pause/", {"comment": mark("pause")})
    vote = {**world.bodies["vote"]["assist"], "comment": mark("comment")}
    approver.post(f"/approvals/{world.urls['approval']['assist']['pk']}/reject/", vote)


REACHED = {
    *("team", "note", "target", "message", "condition-message", "annotation", "key"),
    *("cordon", "state", "environment", "region", "label", "value", "foreign", "namespace"),
    *("node", "answer", "why", "dry", "pause", "comment"),
}


@pytest.mark.parametrize("payload", [PAYLOAD, SHORT, EVALUATED[0], "javascript:zq(1)"])
def test_no_parameter_becomes_markup(world: World, payload: str) -> None:
    admin = world.askers["admin"].client
    keys = ("q", "team", "state", "sort", "page", "tab", "group", "view", "name", "next", "since")
    more = (
        "actor",
        "action",
        "object",
        "until",
        "from",
        "replicas",
        "strategy",
        "publisher",
        "show",
    )
    query = "&".join(f"{key}={quote(payload)}" for key in (*keys, *more))
    for name in names():
        if is_api(name) or "GET" not in ROWS[name].cells:
            continue
        kind = ROWS[name].kind
        which = "" if not kind else next(iter(world.urls[kind]))
        for headers in ({}, {"hx-request": "true"}):
            answer = admin.get(f"{url_of(world, name, which)}?{query}", headers=headers)
            body = words_of(answer)
            assert not unescaped(body), (name, unescaped(body))
            assert "<zq" not in body, name
            assert 'href="javascript:' not in body, name


@pytest.mark.parametrize(
    "name", ["<script>", 'a"b', "a b", "../x", "a'b", "{{x}}", "<zq>", "A", "é"]
)
def test_names_with_markup_are_refused(world: World, name: str) -> None:
    engineer, admin = world.askers["engineer"].client, world.askers["admin"].client
    wish = {**world.bodies["wish"]["assist"], "name": name}
    page = engineer.post("/catalog/microsoft--phi-4-mini-instruct/", wish)
    api = engineer.post("/api/v1/plans/", wish, content_type="application/json")
    cluster = {**world.bodies["register"][""], "name": name}
    joined = admin.post("/clusters/register/", cluster)
    for answer in (page, api, joined):
        assert answer.status_code == 422
        assert not unescaped(answer.content.decode())


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r="])
def test_a_spreadsheet_does_not_calculate_what_people_wrote(world: World, start: str) -> None:
    pk = world.urls["rollout"]["assist"]["pk"]
    reason = f"{start}HYPERLINK(1)zq"
    engineer = world.askers["engineer"].client
    engineer.post(f"/api/v1/rollouts/{pk}/pause/", {"reason": reason}, "application/json")
    text = body_of(engineer.get("/audit/events.csv")).decode()
    line = next(line for line in text.splitlines() if "HYPERLINK" in line)
    assert f",{start}HYPER" not in line
    assert f',"{start}HYPER' not in line
