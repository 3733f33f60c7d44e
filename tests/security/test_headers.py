"""What every answer carries, whoever asked for whatever."""

from __future__ import annotations

import re

import pytest

from tests.security.matrix import METHODS, Seen, is_api, names, send, url_of, whiches
from tests.security.table import ROWS
from tests.security.world import World

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"
NOT_JSON = {"api-schema"}
INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")", re.I)
HANDLER = re.compile(rb"<[^>]*\s(on[a-z]+|hx-on[a-z:-]*)\s*=", re.I)
SCRIPT_URL = re.compile(rb"(href|src|action)=[\"']?\s*javascript:", re.I)
STYLE = re.compile(rb"<[^>]*\sstyle=", re.I)


@pytest.mark.parametrize("who", ["stranger", "engineer", "admin"])
def test_every_answer_forbids_foreign_scripts_frames_and_caches(world: World, who: str) -> None:
    asker = world.askers[who]
    wrong: list[str] = []
    for name in names():
        for which in whiches(world, ROWS[name]):
            url = url_of(world, name, which, asker)
            for method, htmx in (("GET", False), ("GET", True), ("DELETE", False)):
                seen = send(asker, method, url, {}, api=is_api(name), htmx=htmx)
                wrong += [f"{who} {method} {name} {which}: {one}" for one in faults(name, seen)]
    assert not wrong, "\n".join(sorted(set(wrong)))


def faults(name: str, seen: Seen) -> list[str]:
    headers, found = seen.headers, []
    policy = headers.get("Content-Security-Policy", "")
    scripts = next((one for one in policy.split(";") if "script-src" in one), "")
    if "default-src 'none'" not in policy or scripts.strip() != "script-src 'self'":
        found.append(f"policy {policy!r}")
    if "unsafe-eval" in policy or "frame-ancestors 'none'" not in policy:
        found.append(f"policy {policy!r}")
    if headers.get("X-Content-Type-Options") != "nosniff":
        found.append("sniffable")
    caching = headers.get("Cache-Control", "")
    if not ("no-store" in caching or ("private" in caching and "no-cache" in caching)):
        found.append(f"Cache-Control {caching!r}")
    if seen.kind.startswith("text/html"):
        found += markup(seen.body, "'unsafe-inline'" in policy)
    return found + typed(name, seen)


def markup(body: bytes, styles: bool) -> list[str]:
    """What the policy would stop in a browser, and what nobody should write."""
    rules = {"inline script": INLINE_SCRIPT, "handler": HANDLER, "script URL": SCRIPT_URL}
    rules |= {} if styles else {"inline style": STYLE}
    return [
        f"{name}: {hit[0][:120]!r}" for name, rule in rules.items() if (hit := rule.search(body))
    ]


def typed(name: str, seen: Seen) -> list[str]:
    """The API speaks JSON, and its errors are problem documents."""
    if not is_api(name) or name in NOT_JSON or seen.status == 204:
        return []
    want = PROBLEM if seen.status >= 400 else "application/json"
    return [] if seen.kind.split(";")[0] == want else [f"{seen.status} is {seen.kind!r}"]


def test_every_error_of_the_api_is_a_problem_document(world: World) -> None:
    asker = world.askers["admin"]
    for url in ("/api/", "/api/v1/", "/api/v2/plans/", "/api/v1/plans", "/api/v1/plans/x/y/z/"):
        for method in METHODS:
            seen = send(asker, method, url, {}, api=True, htmx=False)
            assert seen.status >= 400, url
            assert seen.kind == PROBLEM, (method, url, seen.kind)
    for body, kind in ((b"{", "application/json"), (b"a=1", "text/plain"), (b"<a/>", "text/xml")):
        answer = asker.client.post("/api/v1/plans/", body, content_type=kind)
        assert answer.status_code in (400, 415)
        assert answer.headers["Content-Type"] == PROBLEM
    answer = asker.client.get("/api/v1/plans/", headers={"accept": "text/html"})
    assert answer.headers["Content-Type"] in (PROBLEM, "application/json")


def test_no_answer_says_that_another_origin_may_read_it(world: World) -> None:
    headers = {"origin": "https://evil.example"}
    for name in names():
        which = whiches(world, ROWS[name])[0]
        answer = world.askers["admin"].client.get(url_of(world, name, which), headers=headers)
        assert not [key for key in answer.headers if key.lower().startswith("access-control")]


def test_the_trace_method_repeats_nothing(world: World) -> None:
    headers = {"x-canary": "echo-me"}
    for name in names():
        which = whiches(world, ROWS[name])[0]
        answer = world.askers["admin"].client.trace(url_of(world, name, which), headers=headers)
        assert answer.status_code in (403, 405, 404), name
        assert b"echo-me" not in answer.content
