"""Who may do what at which URL: reviewed by hand, and on purpose not derived from the code.

A URL without a row here fails the suite. To add one: say which kind of object it is about and, for
each method, the verb, the answer to those who have it, and what a foreign object looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EVERYBODY = frozenset({"viewer", "engineer", "approver"})
FLEET = frozenset({"operator", "admin", "auditor"})

# verb -> (roles in the team of the object, roles in the fleet)
GRANTS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "view": (EVERYBODY, FLEET),
    "audit.view": (EVERYBODY, FLEET),
    "token.own": (EVERYBODY, FLEET),
    "plan.create": (frozenset({"engineer"}), frozenset({"admin"})),
    "deployment.create": (frozenset({"engineer"}), frozenset({"admin"})),
    "deployment.delete": (frozenset({"engineer"}), frozenset({"admin"})),
    "deployment.prompt": (frozenset({"engineer", "approver"}), frozenset({"admin"})),
    "logs.view": (frozenset({"engineer", "approver"}), frozenset({"operator", "admin"})),
    "secret.write": (frozenset({"engineer"}), frozenset({"admin"})),
    "rollout.control": (frozenset({"engineer"}), frozenset({"operator", "admin"})),
    "approval.vote": (frozenset({"approver"}), frozenset()),
    "approval.check": (frozenset({"engineer", "approver"}), frozenset({"operator", "admin"})),
    "cluster.register": (frozenset(), frozenset({"operator", "admin"})),
    "cluster.check": (frozenset(), frozenset({"operator", "admin"})),
    "cluster.cordon": (frozenset(), frozenset({"operator", "admin"})),
    "cluster.remove": (frozenset(), frozenset({"operator", "admin"})),
    "price.edit": (frozenset(), frozenset({"operator", "admin"})),
}
READ = frozenset({"view", "audit.view"})
SCOPES: dict[str, frozenset[str]] = {
    "read": READ,
    "deploy": frozenset(
        {
            *("view", "plan.create", "deployment.create", "deployment.delete"),
            *("deployment.prompt", "secret.write", "rollout.control", "approval.check"),
            "logs.view",
        }
    ),
    "operate": frozenset(
        {
            *("view", "price.edit", "logs.view"),
            *("cluster.register", "cluster.check", "cluster.cordon", "cluster.remove"),
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One method. `gate`: the verb asked before the object is looked for, when not `verb`."""

    verb: str
    ok: tuple[int, ...] = (200,)
    htmx: tuple[int, ...] = ()  # to htmx, when not as `ok`
    gate: str = ""
    foreign: int = 404  # of objects that one may not see, and of those that are not there
    without: tuple[int, ...] = (403,)  # of objects that one sees and has not the verb on
    kind: str | None = None  # of the body: its object decides when the path names none
    body: Mapping[str, str] = field(default_factory=dict)  # sent as well
    personal: bool = False  # about oneself: auditors may as well


@dataclass(frozen=True, slots=True)
class Row:
    """`kind`: of the object in the path. Methods that are not listed answer 405, or 403 before."""

    kind: str = ""
    cells: Mapping[str, Cell] = field(default_factory=dict)


def shows(kind: str = "", verb: str = "view", **more: Cell) -> Row:
    """A page or list that is read."""
    return Row(kind, {"GET": Cell(verb), **more})


DONE = (303,)
PART = (204,)
WAITS = (200, 286)  # a part that polls, and the end of it
TOLD = (202,)


def asked(verb: str, ok: tuple[int, ...] = DONE, htmx: tuple[int, ...] = PART, **body: str) -> Cell:
    """A form's POST that goes to another page."""
    return Cell(verb, ok, htmx, body=body)


def acts(kind: str, verb: str, ok: tuple[int, ...] = TOLD) -> Row:
    """A POST of the API on an object of the path."""
    return Row(kind, {"POST": Cell(verb, ok)})


PAGES: dict[str, Row] = {
    "healthz": shows(verb="public"),
    "readyz": Row("", {"GET": Cell("public", (200, 503))}),
    "metrics": shows(verb="public"),
    "live_ticket": shows(),
    "login": Row("", {"GET": Cell("public"), "POST": Cell("public", (422,))}),
    "logout": Row("", {"POST": Cell("public", (302,), personal=True)}),
    "switch": Row("", {"POST": Cell("view", (403,))}),  # in the demo only
    "home": Row("", {"GET": Cell("view", (302,))}),
    "fleet": shows(),
    "heat_cells": shows(),
    "heat_layout": shows(),
    "heat_holders": shows(),
    "heat_teams": shows(),
    "gpu": shows("gpu"),
    "fleet_part": shows("fleet_part"),
    "fleet_trend": shows(),
    "fleet_trend_figures": shows(),
    "allocation_csv": shows(),
    "idle_csv": shows(),
    "audit": shows(verb="audit.view"),
    "audit_csv": shows(verb="audit.view"),
    "clusters": shows(),
    "cluster": shows("cluster"),
    "cluster_register": shows(verb="cluster.register", POST=Cell("cluster.register", (422,))),
    "member_rbac": shows(verb="cluster.register"),
    "cluster_check": Row("cluster", {"POST": asked("cluster.check")}),
    "cluster_cordon": shows(
        "cluster", "cluster.cordon", POST=asked("cluster.cordon", comment="Power work")
    ),
    "cluster_uncordon": Row("cluster", {"POST": asked("cluster.cordon")}),
    "cluster_quota": shows(
        "cluster", "cluster.register", POST=asked("cluster.register", quotas="Standard_X 3")
    ),
    "cluster_metrics": shows(
        "cluster", "cluster.register", POST=asked("cluster.register", road="direct")
    ),
    "cluster_credential": shows(
        "cluster", "cluster.register", POST=Cell("cluster.register", (422,))
    ),
    "cluster_remove": shows("cluster", "cluster.remove", POST=Cell("cluster.remove", (422,))),
    "prices": shows(),
    "prices_csv": shows(),
    "price_history": Row("", {"GET": Cell("view", (404,))}),  # of no price: nothing is asked for
    "price_set": shows(verb="price.edit", POST=Cell("price.edit", (422,))),
    "price_import": shows(verb="price.edit", POST=Cell("price.edit", (422,))),
    "catalog": shows(),
    "model": shows(
        "model",
        POST=Cell(
            "plan.create", DONE, PART, gate="view", kind="wish", foreign=422, without=(403, 422)
        ),
    ),
    "plan": Row("plan", {"GET": Cell("view", htmx=WAITS)}),
    "plan_again": Row("plan", {"POST": asked("plan.create")}),
    "plan_dry_run": Row("plan", {"POST": asked("plan.create")}),
    "deployments": shows(),
    "deployment": Row("deployment", {"GET": Cell("view", htmx=WAITS)}),
    "deployment_cost": shows("deployment"),
    "serving_figures": shows("deployment"),
    "serving_table": shows("deployment"),
    "deployment_prompt": Row("deployment", {"POST": asked("deployment.prompt", prompt="Hello?")}),
    "deployment_delete": shows(
        "deployment", "deployment.delete", POST=Cell("deployment.delete", (422,))
    ),
    "workspace_logs": Row(  # nothing has a pod here: it says so
        "workspace", {"GET": Cell("logs.view"), "POST": Cell("logs.view", DONE, (200,))}
    ),
    "workspace_logs_text": Row("workspace", {"GET": Cell("logs.view", (404,))}),
    "team_secret": shows("team", "secret.write", POST=asked("secret.write", value="hf_abcdefgh")),
    "rollouts": shows(),
    "rollout": Row("rollout", {"GET": Cell("view", htmx=WAITS)}),
    "rollout_start": Row(
        "", {"POST": Cell("deployment.create", DONE, PART, kind="plan", foreign=404)}
    ),
    "rollout_act": shows(
        "rollout_action", "rollout.control", POST=asked("rollout.control", comment="Wait")
    ),
    "approvals": shows(),
    "approval": Row("approval", {"GET": Cell("view", htmx=WAITS)}),
    "approval_check": Row("approval", {"POST": Cell("approval.check", DONE, (200,), gate="view")}),
    "approval_approve": shows(
        "approval", "approval.vote", POST=Cell("approval.vote", (409,), kind="vote")
    ),
    "approval_reject": shows(
        "approval", "approval.vote", POST=Cell("approval.vote", DONE, PART, kind="vote")
    ),
}

API: dict[str, Row] = {
    "api-schema": shows(verb="public"),
    "api-nothing": Row("", {"GET": Cell("public", (404,))}),
    "api-team-secret": Row("team", {"PUT": Cell("secret.write", body={"value": "hf_abcdefgh"})}),
    "api-token-list": Row(
        "",
        {
            "GET": Cell("token.own"),
            "POST": Cell("token.own", (201,), body={"name": "mine"}, personal=True),
        },
    ),
    "api-token-detail": Row("token", {"DELETE": Cell("token.own", (204,), personal=True)}),
    "api-event-list": shows(verb="audit.view"),
    "api-event-detail": shows("event", "audit.view"),
    "api-model-list": shows(),
    "api-model-detail": shows("model"),
    "api-model-fit": shows("model"),
    "api-plan-list": shows(POST=Cell("plan.create", (201,), kind="wish", foreign=422)),
    "api-plan-detail": shows("plan"),
    "api-plan-manifests": shows("plan"),
    "api-plan-again": acts("plan", "plan.create", (201,)),
    "api-plan-dry-run": acts("plan", "plan.create"),
    "api-check-detail": shows("check"),
    "api-workspace-logs": acts("workspace", "logs.view", (409,)),
    "api-strategy-list": shows(),
    "api-strategy-detail": shows("strategy"),
    "api-deployment-list": shows(POST=Cell("deployment.create", (201,), kind="plan", foreign=422)),
    "api-deployment-detail": shows("deployment", DELETE=Cell("deployment.delete", (422,))),
    "api-deployment-cost": shows("deployment"),
    "api-deployment-metrics": shows("deployment"),
    "api-deployment-history": shows("deployment"),
    "api-deployment-workspaces": shows("deployment"),
    "api-deployment-prompt": Row(
        "deployment", {"POST": Cell("deployment.prompt", (202,), body={"prompt": "Hello?"})}
    ),
    "api-rollout-list": shows(),
    "api-rollout-detail": shows("rollout"),
    "api-rollout-pause": acts("rollout", "rollout.control"),
    "api-rollout-resume": acts("rollout", "rollout.control"),
    "api-rollout-abort": acts("rollout", "rollout.control"),
    "api-rollout-rollback": acts("rollout", "rollout.control"),
    "api-rollout-retry": acts("rollout", "rollout.control", (409,)),
    "api-rollout-retire-old": acts("rollout", "rollout.control"),
    "api-approval-list": shows(),
    "api-approval-detail": shows("approval"),
    "api-approval-preflight": Row("approval", {"POST": Cell("approval.check", TOLD, gate="view")}),
    "api-approval-votes": Row(
        "approval",
        {"POST": Cell("approval.vote", (201,), kind="vote", body={"decision": "reject"})},
    ),
    "api-cluster-list": shows(POST=Cell("cluster.register", (422,))),
    "api-cluster-detail": shows("cluster", DELETE=Cell("cluster.remove", (204, 422))),
    "api-cluster-nodes": shows("cluster"),
    "api-cluster-metrics": Row(
        "cluster",
        {
            "GET": Cell("view"),
            "PATCH": Cell("cluster.register", (200,), body={"road": "direct"}),
        },
    ),
    "api-cluster-check": acts("cluster", "cluster.check"),
    "api-cluster-cordon": Row(
        "cluster", {"POST": Cell("cluster.cordon", (200, 202), body={"reason": "Power work"})}
    ),
    "api-cluster-uncordon": acts("cluster", "cluster.cordon", (200, 202)),
    "api-fleet-overview": shows(),
    "api-fleet-heatmap": shows(),
    "api-fleet-at": Row("", {"GET": Cell("view", (400, 422))}),  # of no moment
    "api-prices": shows(POST=Cell("price.edit", (422,), gate="view")),
    "api-price-import": Row("", {"POST": Cell("price.edit", (422,))}),
}

ROWS = {**PAGES, **API}
