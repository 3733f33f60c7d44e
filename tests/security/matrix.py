"""Every URL of the portal, what each answer should be, and one request with what it wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.http import HttpResponseBase
from django.urls import get_resolver, reverse

from fleetportal.accounts.checks import walk
from tests.security.table import GRANTS, ROWS, SCOPES, Cell, Row
from tests.security.world import NOWHERE, Asker, World, body_of, cookies_kept

THOROUGH = ("stranger", "engineer", "admin", "token_read")  # also methods that no page has
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
WRITE = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)\b.*", re.IGNORECASE | re.DOTALL)
OWN_BUSINESS = ("django_session", "accounts_loginfailure")


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer, its body, and the statements that wrote."""

    status: int
    location: str
    kind: str
    body: bytes
    wrote: tuple[str, ...]
    headers: dict[str, str]


def names() -> list[str]:
    """The names of every URL pattern, whichever app adds it."""
    return [str(entry.name) for _, entry in walk(get_resolver("fleetportal.urls").url_patterns)]


def is_api(name: str) -> bool:
    return name.startswith("api-")


def url_of(world: World, name: str, which: str, asker: Asker | None = None) -> str:
    """The address of the object of `which` team, or of one that is not there."""
    if name == "api-nothing":
        return "/api/v1/nothing/here/"
    kind = ROWS[name].kind
    if kind == "token":
        own = world.own_tokens.get(asker.name if asker else "", NOWHERE)
        other = "approver" if asker and asker.name == "engineer" else "engineer"
        pk = {"own": own, "missing": NOWHERE}.get(which, world.own_tokens[other])
        return reverse(name, kwargs={"id": pk})
    where = world.urls[kind][which] if kind else {}
    return reverse(name, kwargs=where)


def whiches(world: World, row: Row) -> list[str]:
    if row.kind == "token":
        return ["own", "other", "missing"]
    return list(world.urls[row.kind]) if row.kind else [""]


def body_whiches(world: World, cell: Cell | None, which: str) -> list[str]:
    """Objects that the body may name, where the path does not decide."""
    if cell is None or cell.kind is None:
        return [which]
    return [which] if which in world.bodies[cell.kind] else list(world.bodies[cell.kind])


def send(
    asker: Asker, method: str, url: str, data: dict[str, Any], *, api: bool, htmx: bool
) -> Seen:
    """One request, undone afterwards."""
    headers = {"hx-request": "true", "hx-current-url": "http://testserver/x/"} if htmx else {}
    if asker.header:
        headers["authorization"] = asker.header
    kwargs: dict[str, Any] = {"headers": headers}
    if method not in ("GET", "HEAD", "OPTIONS"):
        as_json = api or method != "POST"
        kwargs |= {"data": data, "content_type": "application/json"} if as_json else {"data": data}
    wrote: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if WRITE.match(sql) and not any(table in sql for table in OWN_BUSINESS):
            wrote.append(sql[:120])
        return execute(sql, params, many, context)

    with transaction.atomic(), cookies_kept(asker.client), connection.execute_wrapper(note):
        answer = getattr(asker.client, method.lower())(url, **kwargs)
        seen = _seen(answer, tuple(wrote))
        transaction.set_rollback(True)
    return seen


def _seen(answer: HttpResponseBase, wrote: tuple[str, ...]) -> Seen:
    location = answer.headers.get("Location") or answer.headers.get("HX-Redirect", "")
    kind = answer.headers.get("Content-Type", "")
    body = body_of(answer)
    return Seen(answer.status_code, location, kind, body, wrote, dict(answer.headers))


def has(world: World, asker: Asker, verb: str, team: str | None) -> bool:
    """Whether the table grants `verb` to the asker on objects of `team` (None: anywhere)."""
    user = asker.user
    if user is None:
        return False
    if asker.scopes is not None and not any(verb in SCOPES[one] for one in asker.scopes):
        return False
    in_team, in_fleet = GRANTS[verb]
    held = world.held(asker)
    roles = held.get(team, set()) if team else set().union(*held.values())
    return user.fleet_role in in_fleet or bool(roles & in_team)


def expected(
    world: World, asker: Asker, name: str, method: str, which: str, path: str = ""
) -> set[int]:
    """The statuses that the table allows. `which` decides; `path` is what the address names."""
    cell, api = ROWS[name].cells.get(method), is_api(name)
    if cell is not None and cell.verb == "public":
        return {*cell.ok, *cell.htmx}
    if cell is None and any(one.verb == "public" for one in ROWS[name].cells.values()):
        return {404, 405} if name == "api-nothing" else {405}
    if asker.user is None:
        return {401} if api else {302, 204}
    if cell is None:
        return {403, 405}
    if not has(world, asker, cell.gate or cell.verb, None):
        return {403}
    if path == "missing" and ROWS[name].kind:
        return {404}
    if which == "missing" or (which in world.teams and not world.visible(asker, which)):
        return {cell.foreign}
    if ROWS[name].kind == "token":
        return set(cell.ok) if which == "own" else {cell.foreign}
    team = which if which in world.teams else None
    return {*cell.ok} if has(world, asker, cell.verb, team) else {*cell.without}


def requests(world: World, asker: Asker) -> Iterator[tuple[str, str, str, str, bool]]:
    """(URL name, method, which object of the path, which of the body, htmx)."""
    for name in names():
        if asker.api_only and not is_api(name):
            continue
        row = ROWS[name]
        for method in METHODS:
            cell = row.cells.get(method)
            if cell is None and asker.name not in THOROUGH:
                continue
            for which in whiches(world, row) if cell else whiches(world, row)[:1]:
                for other in body_whiches(world, cell, which):
                    part = cell is not None and not is_api(name) and which in ("", "all", "assist")
                    for mode in (False, True) if part else (False,):
                        yield name, method, which, other, mode
