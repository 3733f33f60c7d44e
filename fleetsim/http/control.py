"""The simulator's own interface under /_sim: clusters, faults, request log. Admin token only."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from fleetsim import crds
from fleetsim.access import ADMIN, PORTAL_RULES, PORTAL_USER, User, rule_from
from fleetsim.errors import ApiError
from fleetsim.faults import described
from fleetsim.http.messages import Reply, Request, json_reply
from fleetsim.http.reviews import authenticate, mint
from fleetsim.http.state import Sim
from fleetsim.publish import registration
from fleetsim.store import ClusterStore

Handler = Callable[[Sim, Request], Reply]
OK = {"ok": True}


def control(sim: Sim, request: Request) -> Reply:
    """Answer a request outside every cluster. Raises ApiError 400, 401, 403, 404."""
    parts = [part for part in request.path.split("/") if part]
    if parts == ["healthz"]:
        return json_reply(OK)
    if parts[:1] != ["_sim"]:
        return Reply(404, b"404 page not found\n", "text/plain; charset=utf-8")
    if authenticate(sim, None, request) is not ADMIN:
        raise ApiError(403, "the admin token is needed")
    if parts[1:2] == ["clusters"] and len(parts) >= 3:
        return _one_cluster(sim, parts[2], parts[3:], request)
    handler = _HANDLERS.get((request.method, "/".join(parts[1:])))
    if handler is None:
        raise ApiError(404, f"no {request.method} {request.path} here")
    return handler(sim, request)


def _body(request: Request) -> dict[str, Any]:
    body = request.parse()
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be an object")
    return body


def _add_fault(sim: Sim, request: Request) -> Reply:
    try:
        fault = sim.faults.add(_body(request))
    except ValueError as error:
        raise ApiError(400, str(error)) from error
    if fault.kind == "watch_drop":
        for cluster in sim.fleet.clusters.values():
            if fault.meets(cluster.name):
                _hang_up(cluster, fault.resource)
    sim.faults_changed()
    return json_reply(asdict(fault), 201)


def _help(sim: Sim, request: Request) -> Reply:
    """What there is to call here."""
    calls = sorted(f"{method} /_sim/{path}" for method, path in _HANDLERS)
    calls += [
        f"{method} /_sim/clusters/NAME/{path}"
        for method, path in (
            ("GET", "objects?kind="), ("POST", "compact"), ("POST", "hangup"), ("POST", "tokens"),
            ("DELETE", "tokens"), ("POST", "settings"), ("POST", "edit"),
        )
    ]  # fmt: skip
    return json_reply({"calls": calls, "faults": described(), "settings": _SETTINGS})


_SETTINGS = (
    "capacity, faults, webhook_down, cache_lag, base_tag, engine_version, load: a list of "
    "{match, rate, latency, errors, runtime} for Workspaces whose name begins with match"
)


def _hang_up(cluster: ClusterStore, resource: str) -> None:
    for table in cluster.tables.values():
        if resource in ("", table.kind.resource):
            table.hang_up()


def _faults(sim: Sim, request: Request) -> Reply:
    return json_reply([asdict(fault) for fault in sim.faults.faults])


def _drop_faults(sim: Sim, request: Request) -> Reply:
    number = request.query.get("id", "")
    if number and not number.isdigit():
        raise ApiError(400, "id: must be a number")
    removed = sim.faults.remove(int(number) if number else None, request.query.get("cluster", ""))
    sim.faults_changed()
    return json_reply({"removed": removed})


def _log(sim: Sim, request: Request) -> Reply:
    after = request.query.get("after") or "0"
    if not after.isdigit():
        raise ApiError(400, "after: must be a number (a seq)")
    return json_reply(sim.log.after(int(after), request.query.get("cluster", "")))


def _clusters(sim: Sim, request: Request) -> Reply:
    return json_reply([registration(sim, each) for each in sim.fleet.clusters.values()])


def _add_cluster(sim: Sim, request: Request) -> Reply:
    """Make a cluster: {name, rules?, ...spec}. The rest of the spec is the scenario's."""
    spec = dict(_body(request))
    name = spec.pop("name", "")
    if not name or not isinstance(name, str) or "/" in name:
        raise ApiError(400, "name: a non-empty name without '/' is needed")
    wanted = spec.pop("rules", None)
    make_cluster(sim, name, spec)
    cluster = sim.fleet.clusters[name]
    cluster.portal_rules = _rules(wanted) if wanted is not None else cluster.portal_rules
    return json_reply(registration(sim, cluster), 201)


def make_cluster(sim: Sim, name: str, spec: dict[str, Any]) -> None:
    """Let the scenario make it where it can; otherwise (or with `bare`) an empty cluster with every
    CRD of ours.
    """
    bare = spec.pop("bare", False)
    if not bare and importlib.util.find_spec("fleetsim.scenario"):
        importlib.import_module("fleetsim.scenario").make_cluster(sim.fleet, name, spec)
    else:
        sim.fleet.add_cluster(name, crds.load())


def _rules(rows: Any) -> tuple[Any, ...]:
    try:
        return tuple(rule_from(row) for row in rows)
    except (KeyError, TypeError) as error:
        raise ApiError(400, f"rules: each needs verbs and resources ({error})") from error


def _one_cluster(sim: Sim, name: str, rest: list[str], request: Request) -> Reply:
    cluster = sim.fleet.clusters.get(name)
    if cluster is None:
        raise ApiError(404, f'no cluster "{name}"')
    match (request.method, *rest):
        case ("GET", "objects"):
            kind = request.query.get("kind", "")
            return json_reply(cluster.list(kind, request.query.get("namespace")))
        case ("POST", "compact"):
            for table in cluster.tables.values():
                table.compact(cluster.rv)
        case ("POST", "hangup"):
            _hang_up(cluster, request.query.get("resource", ""))
        case ("POST", "tokens"):
            return _add_token(sim, cluster, request)
        case ("POST", "settings"):
            importlib.import_module("fleetsim.scenario").change(sim.fleet, name, _body(request))
        case ("POST", "edit"):
            scenario = importlib.import_module("fleetsim.scenario")
            return json_reply(scenario.edit(sim.fleet, name, _body(request)))
        case ("DELETE", "tokens"):
            cluster.users.pop(request.query.get("token", ""), None)
        case ("DELETE",):
            _hang_up(cluster, "")
            del sim.fleet.clusters[name]
        case _:
            raise ApiError(404, f"no {request.method} {request.path} here")
    return json_reply(OK)


def _add_token(sim: Sim, cluster: ClusterStore, request: Request) -> Reply:
    """A token: {user?, rules?, expires_in? (seconds)} -> {token}. With `token` one that there is
    gets this end and keeps the rest."""
    body = _body(request)
    name = body.get("user", PORTAL_USER)
    rules = _rules(body["rules"]) if "rules" in body else PORTAL_RULES
    seconds = body.get("expires_in")
    expires = None
    if seconds is not None:
        expires = sim.fleet.clock.now() + timedelta(seconds=float(seconds))
    if known := cluster.users.get(body.get("token", "")):
        cluster.users[body["token"]] = replace(known, expires=expires)
        return json_reply({"token": body["token"], "user": known.name})
    token = mint(sim.secret, cluster.name, name, str(len(cluster.users)), str(sim.log.seq))
    cluster.users[token] = User(name, rules, expires=expires)
    return json_reply({"token": token, "user": name}, 201)


_HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", ""): _help,
    ("POST", "faults"): _add_fault,
    ("GET", "faults"): _faults,
    ("DELETE", "faults"): _drop_faults,
    ("GET", "log"): _log,
    ("GET", "clusters"): _clusters,
    ("POST", "clusters"): _add_cluster,
}
