"""Two teams with one of everything each, and everybody who might ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.test import Client
from django.utils import timezone

from clusters.models import Check, Cluster, ClusterGrant
from clusters.selectors import pack
from clusters.services.registration import cluster_cordon
from fleetportal.accounts.models import Membership, Team, User
from fleetportal.accounts.principal import Principal
from fleetportal.accounts.tokens import token_create
from fleetportal.journal.models import Event
from rollouts.models import Approval
from tests.clusters.rows import node
from tests.engine.placement_world import story
from tests.factories import make_plan, make_waiting
from tests.support import make_user
from tests.workspaces.fleet_rows import make_cluster, make_fleet
from workspaces.models import Plan

NOWHERE = "00000000-0000-4000-8000-000000000000"
PHI = "microsoft--phi-4-mini-instruct"
GATED = "meta-llama--llama-3.1-8b-instruct"
TEAMS = ("assist", "risk")

Where = dict[str, Any]  # arguments of a URL, or a body


class StillClock:
    """Stands in for the `time` module where a request waits for a worker: there is none here."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 10
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(slots=True)
class Asker:
    """Someone who sends requests. `user` None: a stranger. `scopes`: comes with a token."""

    name: str
    user: User | None = None
    scopes: tuple[str, ...] | None = None
    header: str = ""
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    @property
    def api_only(self) -> bool:
        return self.scopes is not None


@dataclass(slots=True)
class World:
    """`urls` and `bodies`: kind -> which -> arguments. `marks`: team -> what only it may read."""

    teams: dict[str, Team]
    askers: dict[str, Asker]
    urls: dict[str, dict[str, Where]]
    bodies: dict[str, dict[str, Where]]
    marks: dict[str, list[str]]
    own_tokens: dict[str, str]
    roles: dict[str, dict[str, set[str]]]  # user name -> team -> roles

    def visible(self, asker: Asker, team: str) -> bool:
        user = asker.user
        return user is not None and (team in self.held(asker) or bool(user.fleet_role))

    def held(self, asker: Asker) -> dict[str, set[str]]:
        """Team -> roles that the asker has in it."""
        return self.roles.get(asker.user.username, {}) if asker.user else {}


def make_world() -> World:
    teams = {slug: Team.objects.create(slug=slug, name=slug.title()) for slug in TEAMS}
    users = _users(teams)
    make_fleet()
    operator = Principal(users["operator"])
    for slug, team in teams.items():
        facts = replace(story()[0], name=f"only-{slug}", uid=f"uid-{slug}", teams=frozenset({slug}))
        cluster = make_cluster(facts)
        ClusterGrant.objects.create(cluster=cluster, team=team)
        cluster_cordon(principal=operator, cluster=cluster, reason=f"Works on only-{slug}")
    shown = Cluster.objects.filter(name__in=["only-assist", "only-risk", "prod-weu"])
    shown.update(nodes_packed=pack((node("gpu-0"),)))
    # Still fresh when the last test of a slow machine looks at it.
    Cluster.objects.update(observed_at=timezone.now() + timedelta(minutes=20))
    approvals = {
        "assist": make_waiting(users["engineer"], teams["assist"], name="phi-assist"),
        "risk": make_waiting(users["outsider"], teams["risk"], name="phi-risk"),
    }
    plans = {
        "assist": make_plan(users["engineer"], teams["assist"], name="idle-assist", replicas=3),
        "risk": make_plan(users["outsider"], teams["risk"], name="idle-risk", replicas=3),
    }
    checks = {
        slug: Check.objects.create(
            kind="workspaces.prompt", team=team, state="done", result={"answer": f"of-{slug}"}
        )
        for slug, team in teams.items()
    }
    askers = {"stranger": Asker("stranger")} | {n: _signed_in(n, u) for n, u in users.items()}
    tokens = {name: token_create(user=user, name="own")[0] for name, user in users.items()}
    askers |= {one.name: one for one in _token_askers(users)}
    return World(
        teams=teams,
        askers=askers,
        urls=_urls(approvals, plans, checks),
        bodies=_bodies(approvals, plans),
        marks=_marks(approvals, plans, checks),
        own_tokens={name: str(token.pk) for name, token in tokens.items()},
        roles=_roles(),
    )


def _roles() -> dict[str, dict[str, set[str]]]:
    found: dict[str, dict[str, set[str]]] = {}
    rows = Membership.objects.values_list("user__username", "team__slug", "role")
    for user, team, role in rows:
        found.setdefault(user, {}).setdefault(team, set()).add(role)
    return found


def _users(teams: dict[str, Team]) -> dict[str, User]:
    assist, risk = teams["assist"], teams["risk"]
    return {
        "viewer": make_user("viewer", viewer=assist),
        "engineer": make_user("engineer", engineer=assist),
        "outsider": make_user("outsider", engineer=risk),
        "approver": make_user("approver", approver=assist),
        "risk_approver": make_user("risk_approver", approver=risk),
        "mixed": _mixed(assist, risk),
        "nobody": make_user("nobody"),
        "operator": make_user("operator", "operator"),
        "admin": make_user("admin", "admin"),
        "auditor": make_user("auditor", "auditor"),
    }


def _mixed(assist: Team, risk: Team) -> User:
    """Sees both teams, acts in one: a verb held somewhere else must not count here."""
    user = make_user("mixed", viewer=assist)
    for role in ("engineer", "approver"):
        Membership.objects.create(user=user, team=risk, role=role)
    return user


def _signed_in(name: str, user: User) -> Asker:
    asker = Asker(name, user)
    asker.client.force_login(user)
    return asker


def _token_askers(users: dict[str, User]) -> Iterator[Asker]:
    wanted = (
        ("token_read", "engineer", ("read",)),
        ("token_admin_read", "admin", ("read",)),
        ("token_deploy", "engineer", ("deploy",)),
        ("token_operate", "admin", ("operate",)),
    )
    for name, owner, scopes in wanted:
        _, text = token_create(user=users[owner], name=name, scopes=list(scopes))
        yield Asker(name, users[owner], scopes, header=f"Bearer {text}")


def _urls(
    approvals: dict[str, Approval], plans: dict[str, Plan], checks: dict[str, Check]
) -> dict[str, dict[str, Where]]:
    """Where each kind of object is, for each team, and where nothing is."""
    found: dict[str, dict[str, Where]] = {}

    def add(
        kind: str, name: str, values: Mapping[str, object], missing: object, **more: str
    ) -> None:
        rows = {**values, "missing": missing}
        found[kind] = {which: {name: value, **more} for which, value in rows.items()}

    rollouts = {slug: one.rollout for slug, one in approvals.items()}
    add("approval", "pk", {slug: one.pk for slug, one in approvals.items()}, NOWHERE)
    add("rollout", "pk", {slug: one.pk for slug, one in rollouts.items()}, NOWHERE)
    act = {"key": "pause"}
    add("rollout_action", "pk", {s: one.pk for s, one in rollouts.items()}, NOWHERE, **act)
    add("deployment", "pk", {s: one.deployment_id for s, one in rollouts.items()}, NOWHERE)
    kept = {s: one.targets.order_by("pk").first() for s, one in rollouts.items()}
    add("workspace", "pk", {s: one.new_id for s, one in kept.items() if one}, NOWHERE)
    add("plan", "pk", {slug: one.pk for slug, one in plans.items()}, NOWHERE)
    add("check", "id", {slug: one.pk for slug, one in checks.items()}, NOWHERE)
    add("team", "slug", {slug: slug for slug in TEAMS}, "no-such-team")
    add("cluster", "name", {s: f"only-{s}" for s in TEAMS} | {"all": "prod-weu"}, "no-such-one")
    card = {"node": "gpu-0", "index": "0"}
    clusters = {s: f"only-{s}" for s in TEAMS} | {"all": "prod-weu"}
    add("gpu", "cluster", clusters, "no-such-one", **card)
    add("model", "slug", {"all": PHI}, "no--such-model")
    add("fleet_part", "name", {"all": "idle"}, "no-such-part")
    add("strategy", "slug", {"all": "staged"}, "no-such-strategy")
    events = {s: Event.objects.filter(team__slug=s).latest("pk").pk for s in TEAMS}
    add("event", "pk", {**events}, 999_999_999)
    return found


def _bodies(approvals: dict[str, Approval], plans: dict[str, Plan]) -> dict[str, dict[str, Where]]:
    """What writes send where the object is named in the body, or must agree with it."""
    plan = {s: {"plan": str(one.pk), "digest": one.digest} for s, one in plans.items()}
    vote = {s: {"digest": one.digest, "comment": "Because."} for s, one in approvals.items()}
    wish = {"model": PHI, "replicas": "3", "name": "fresh"}
    register = {
        "from": "fields",
        "name": "fresh",
        "server": "https://fresh.example:6443",
        "ca": "",
        "token": "t0ken",
    }
    return {
        "plan": {**plan, "missing": {"plan": NOWHERE, "digest": "d" * 64}},
        "vote": {**vote, "missing": {"digest": "d" * 64, "comment": "Because."}},
        "wish": {s: {**wish, "team": s} for s in (*TEAMS, "missing")},
        "register": {"": register},
    }


def _marks(
    approvals: dict[str, Approval], plans: dict[str, Plan], checks: dict[str, Check]
) -> dict[str, list[str]]:
    """Ids and names that must not reach people outside the team."""

    def ids(slug: str) -> list[UUID]:
        rollout = approvals[slug].rollout
        rows = (approvals[slug], rollout, plans[slug], checks[slug])
        return [*(row.pk for row in rows), rollout.deployment_id]

    return {
        slug: [*map(str, ids(slug)), f"phi-{slug}", f"idle-{slug}", f"only-{slug}", f"of-{slug}"]
        for slug in TEAMS
    }


@contextmanager
def cookies_kept(client: Client) -> Iterator[None]:
    """A request may end the session; the next one starts from the same cookies."""
    before = client.cookies.output(header="", sep=";")
    try:
        yield
    finally:
        if client.cookies.output(header="", sep=";") != before:
            client.cookies.clear()
            client.cookies.load(before)


def body_of(answer: HttpResponseBase) -> bytes:
    """The body, of a stream as well."""
    if answer.streaming:
        return b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    content: bytes = answer.content  # type: ignore[attr-defined]
    return content
