"""Every URL x everybody x every method x own, foreign and missing objects, plain and for htmx."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from tests.security.matrix import METHODS, Seen, expected, is_api, names, requests, send, url_of
from tests.security.table import ROWS
from tests.security.world import NOWHERE, TEAMS, World

pytestmark = pytest.mark.django_db
SESSIONS = (
    *("stranger", "nobody", "viewer", "engineer", "outsider", "approver", "risk_approver"),
    *("mixed", "operator", "admin", "auditor"),
)
TOKENS = ("token_read", "token_admin_read", "token_deploy", "token_operate")
# A plan has a verdict for every cluster, also for those that are granted to other teams.
HAS_EVERY_CLUSTER = {"plan", "api-plan-list", "api-plan-detail", "api-plan-again"}
# Differs between two loads of the same page, or repeats the address that was asked for.
NOISE = re.compile(
    rb'csrfmiddlewaretoken" value="[^"]+"|X-CSRFToken": ?"[^"]+"|name="server-now" content="\d+"'
)


def test_every_url_has_a_row() -> None:
    missing = sorted(set(names()) - set(ROWS))
    assert not missing, f"say in tests/security/table.py who may call {missing}"


def test_every_url_has_a_name_of_its_own() -> None:
    found = names()
    assert sorted(found) == sorted(set(found))
    assert "None" not in found


def data_for(world: World, name: str, method: str, which: str) -> dict[str, object]:
    cell = ROWS[name].cells.get(method)
    if cell is None:
        return {}
    rows = world.bodies.get(cell.kind or "", {})
    return {**rows.get(which, {}), **cell.body}


@pytest.mark.parametrize("who", [*SESSIONS, *TOKENS])
def test_each_answer_is_the_one_of_the_table(world: World, who: str) -> None:
    asker = world.askers[who]
    wrong: list[str] = []
    looks: dict[tuple[str, str, int, bool], dict[str, bytes]] = defaultdict(dict)
    for name, method, which, other, htmx in requests(world, asker):
        url = url_of(world, name, which, asker)
        seen = send(
            asker, method, url, data_for(world, name, method, other), api=is_api(name), htmx=htmx
        )
        decides = other if ROWS[name].kind in ("", "model") else which
        may = expected(world, asker, name, method, decides, which)
        cell = ROWS[name].cells.get(method)
        if htmx and cell is not None and cell.htmx and may == {*cell.ok}:
            may = {*cell.htmx}
        label = f"{who} {method} {name} {which}/{other}{' htmx' if htmx else ''}"
        wrong += [f"{label}: {what}" for what in judge(world, seen, method, may)]
        wrong += [f"{label}: shows {mark}" for mark in leaks(world, who, name, seen, url)]
        if who == "auditor" and seen.wrote and not (cell and cell.personal):
            wrong.append(f"{label}: an auditor wrote {seen.wrote}")
        if seen.status in (404, 422) and hidden(world, who, decides):
            looks[name, method, seen.status, htmx][decides] = NOISE.sub(b"", seen.body)
    wrong += [f"{who} {key}: {sorted(v)} differ" for key, v in looks.items() if differ(v)]
    assert not wrong, "\n".join(wrong)


def judge(world: World, seen: Seen, method: str, may: set[int]) -> list[str]:
    found = []
    if seen.status not in may:
        found.append(f"{seen.status} instead of {sorted(may)} {seen.location} {seen.body[:200]!r}")
    if seen.status in (302, 204) and may == {302, 204} and not seen.location.startswith("/login/"):
        found.append(f"goes to {seen.location!r} instead of the login")
    denied = seen.status in (301, 302, 400, 401, 403, 404, 405) and "Location" not in seen.headers
    if seen.wrote and (method == "GET" or denied or seen.status == 401):
        found.append(f"wrote {seen.wrote}")
    return found


def leaks(world: World, who: str, name: str, seen: Seen, url: str) -> list[str]:
    """Marks of a team that the asker is not in. An address that was asked for may be repeated."""
    known = ("only-",) if name in HAS_EVERY_CLUSTER else ()
    body = seen.body.decode(errors="replace").replace(url, "")
    asker = world.askers[who]
    foreign = [team for team in TEAMS if not world.visible(asker, team)]
    return [
        mark
        for team in foreign
        for mark in world.marks[team]
        if mark in body and mark not in url and not mark.startswith(known or "\x00")
    ]


def hidden(world: World, who: str, which: str) -> bool:
    asker = world.askers[who]
    return which in ("missing", "other") or (which in TEAMS and not world.visible(asker, which))


def differ(bodies: dict[str, bytes]) -> bool:
    """Foreign and missing must look the same, byte for byte."""
    return len(set(bodies.values())) > 1


def test_the_matrix_covers_foreign_and_missing_objects(world: World) -> None:
    rows = list(requests(world, world.askers["engineer"]))
    assert {which for _, _, which, _, _ in rows} >= {"assist", "risk", "missing"}
    assert {method for _, method, _, _, _ in rows} == {*METHODS}
    assert any(NOWHERE in url_of(world, name, which) for name, _, which, _, _ in rows)
