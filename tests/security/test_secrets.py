"""Canaries in everything that holds a secret; then every page, endpoint, log line and table."""

from __future__ import annotations

import base64
import json
import logging
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from clusters.models import Check, Cluster
from clusters.services.probing import connection_answer
from fleetportal.accounts.models import User
from tests.fleet.raw_server import CA, CLIENT, raw_server, reply
from tests.security.matrix import is_api, names, send, url_of, whiches
from tests.security.table import ROWS
from tests.security.world import World, body_of

pytestmark = pytest.mark.django_db

CLUSTER_TOKEN = "canary-cluster-token-7f3a91"
KUBECONFIG_TOKEN = "canary-kubeconfig-token-55e1"
TEAM_TOKEN = "hf_canaryTeamTokenQ8z2"
API_TEAM_TOKEN = "hf_canaryOtherTokenW3x9"
PASSWORD = "canary-password-of-a-person-41"
WRONG_PASSWORD = "canary-wrong-password-typed-77"
KEY_LINE = CLIENT.key_pem.splitlines()[1]


@dataclass(slots=True)
class Planted:
    """What was put in, with what the answers and the log said meanwhile."""

    canaries: dict[str, str]
    said: list[tuple[str, bytes]]


def shapes(secret: str) -> list[bytes]:
    """The secret as it might be written."""
    raw = secret.encode()
    quoted = urllib.parse.quote(secret).encode()
    encoded = base64.b64encode(raw).rstrip(b"=")
    return [raw, quoted, encoded[:-1], raw.hex().encode(), json.dumps(secret)[1:-1].encode()]


def hits(canaries: dict[str, str], text: bytes) -> list[str]:
    return [name for name, secret in canaries.items() if any(s in text for s in shapes(secret))]


@pytest.fixture
def planted(world: World, caplog: pytest.LogCaptureFixture, settings: Any) -> Iterator[Planted]:
    settings.ALLOW_LOOPBACK_CLUSTERS = True
    caplog.set_level(logging.DEBUG)
    said: list[tuple[str, bytes]] = []
    admin = browser(world)

    def note(what: str, answer: Any) -> None:
        assert answer.status_code < 400, (what, body_of(answer)[:600])
        said.append((what, body_of(answer)))

    one, two = echo(CLUSTER_TOKEN), echo(KUBECONFIG_TOKEN)
    with raw_server(lambda _: one) as first, raw_server(lambda _: two) as second:
        _register(admin, note, first.port, second.port)
        for check in Check.objects.filter(kind="clusters.connection"):
            connection_answer(str(check.pk))
    note("secret page", admin.post("/teams/assist/secret/", {"value": TEAM_TOKEN}))
    body = {"value": API_TEAM_TOKEN}
    note("secret api", _put(admin, "/api/v1/teams/risk/secret/", body))
    token = _people(said)
    canaries = {
        "cluster token": CLUSTER_TOKEN,
        "kubeconfig token": KUBECONFIG_TOKEN,
        "client key": KEY_LINE,
        "team token": TEAM_TOKEN,
        "other team token": API_TEAM_TOKEN,
        "password": PASSWORD,
        "wrong password": WRONG_PASSWORD,
        "api token": token.split("_", 2)[2],  # the secret may hold more of them
        "SECRET_KEY": settings.SECRET_KEY,
        "FLEETPORTAL_KEYS": settings.FLEETPORTAL_KEYS.partition(":")[2],
    }
    yield Planted(canaries, said)


def browser(world: World) -> Client:
    """The admin's, with nothing left from an earlier test."""
    user = world.askers["admin"].user
    assert user is not None
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def echo(token: str) -> list[bytes]:
    """A cluster that repeats the credential in its answer."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 401}
    said = {**status, "reason": "Unauthorized", "message": f"Bearer {token} is no good"}
    return [reply(json.dumps(said).encode(), status="401 Unauthorized")]


def _put(client: Client, url: str, body: dict[str, Any]) -> Any:
    return client.put(url, body, content_type="application/json")


def _register(client: Client, note: Any, port: int, other: int) -> None:
    server = f"https://127.0.0.1:{port}"
    parts = {"server": server, "ca": CA.cert_pem}
    with_token = {"from": "fields", "name": "canary-one", "token": CLUSTER_TOKEN, **parts}
    note("register page", client.post("/clusters/register/", with_token))
    pair = {"client_cert": CLIENT.cert_pem, "client_key": CLIENT.key_pem}
    with_key = {"from": "fields", "name": "canary-two", **parts, **pair}
    note("register key", client.post("/clusters/register/", with_key))
    body = {"name": "canary-three", "kubeconfig": kubeconfig(f"https://127.0.0.1:{other}")}
    headers = {"idempotency-key": "canary-once"}
    for _ in range(2):
        answer = client.post(
            "/api/v1/clusters/", body, content_type="application/json", headers=headers
        )
        note("register api", answer)
    replaced = {"from": "fields", "token": CLUSTER_TOKEN, **parts}
    note("replace", client.post("/clusters/canary-two/credential/", replaced))


def kubeconfig(server: str, **user: Any) -> str:
    ca = base64.b64encode(CA.cert_pem.encode()).decode()
    entry = {"server": server, "certificate-authority-data": ca}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": entry}],
        "users": [{"name": "u", "user": {"token": KUBECONFIG_TOKEN, **user}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return json.dumps(document)


def _people(said: list[tuple[str, bytes]]) -> str:
    """A person who signs in, well and badly, and makes a token. Returns the token."""
    user = User.objects.create_user("canary", password=PASSWORD, fleet_role="admin")
    client = Client()
    for password in (WRONG_PASSWORD, PASSWORD):
        answer = client.post("/login/", {"username": "canary", "password": password})
        said.append(("login", answer.content))
    for password in (WRONG_PASSWORD, PASSWORD):
        basic = base64.b64encode(f"{user.username}:{password}".encode()).decode()
        answer = Client().post(
            "/api/v1/tokens/",
            {"name": "canary", "scopes": ["read"]},
            content_type="application/json",
            headers={"authorization": f"Basic {basic}"},
        )
    token: str = answer.json()["token"]  # the one answer that shows it
    wrong = {"authorization": f"Bearer {token}x"}
    said.append(("bearer", Client().get("/api/v1/plans/", headers=wrong).content))
    return token


def test_no_page_endpoint_or_log_line_shows_a_secret(
    world: World, planted: Planted, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = [(what, hit) for what, body in planted.said if (hit := hits(planted.canaries, body))]
    world.urls["cluster"] |= {n: {"name": n} for n in ("canary-one", "canary-two", "canary-three")}
    checks = Check.objects.filter(cluster__name__startswith="canary").values_list("pk", flat=True)
    world.urls["check"] |= {str(pk): {"id": pk} for pk in checks}
    for who, methods in (("admin", ("GET", "POST")), ("engineer", ("GET",))):
        asker = world.askers[who]
        for name in names():
            for which in whiches(world, ROWS[name]):
                url = url_of(world, name, which, asker)
                for method in methods:
                    seen = send(asker, method, url, {}, api=is_api(name), htmx=False)
                    if hit := hits(planted.canaries, seen.body):
                        wrong.append((f"{who} {method} {url}", hit))
    lines = "\n".join(f"{r.getMessage()} {vars(r)}" for r in caplog.records)
    if hit := hits(planted.canaries, lines.encode()):
        wrong.append(("log", hit))
    for kind in ("canary-one", "canary-two", "canary-three"):
        del world.urls["cluster"][kind]
    world.urls["check"] = {k: v for k, v in world.urls["check"].items() if len(k) < 20}
    assert not wrong, wrong


def test_no_table_holds_a_secret_in_the_open(planted: Planted) -> None:
    wrong = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name of our own
            for row in cursor.fetchall():
                text = b"\x1f".join(_bytes(value) for value in row)
                if hit := hits(planted.canaries, text):
                    wrong.append((table, hit))
    assert not wrong, wrong


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    return str(value).encode()


def test_the_canaries_went_in(world: World, planted: Planted) -> None:
    """Otherwise their absence would prove nothing."""
    from clusters.services.connections import connection_of
    from workspaces.services.secrets import secret_open

    one = connection_of(Cluster.objects.get(name="canary-one"))
    three = connection_of(Cluster.objects.get(name="canary-three"))
    assert (one.token, three.token) == (CLUSTER_TOKEN, KUBECONFIG_TOKEN)
    secret = secret_open(team_id=world.teams["assist"].pk)
    assert secret is not None
    assert secret.reveal() == TEAM_TOKEN
    assert "canary" not in repr(one) + repr(secret) + str(secret)
    assert Check.objects.filter(cluster__name="canary-one", state="failed").exists()
    assert hits(planted.canaries, base64.b64encode(CLUSTER_TOKEN.encode())) == ["cluster token"]


BAD_USERS: list[dict[str, Any]] = [
    {"exec": {"command": "sh", "args": ["canary-in-exec"], "apiVersion": "v1"}},
    {"auth-provider": {"name": "gcp", "config": {"access-token": "canary-in-provider"}}},
    {"tokenFile": "/etc/canary-in-path"},
    {"username": "u", "password": "canary-in-password"},
    {"client-key-data": "canary-in-key"},
    {"token": "canary in token with spaces"},
    {"as": "canary-in-as"},
    {"token": ["canary-in-list"]},
]


@pytest.mark.parametrize("user", BAD_USERS)
def test_a_refused_kubeconfig_is_not_repeated(world: World, user: dict[str, Any]) -> None:
    admin = browser(world)
    text = kubeconfig("https://k8s.example.com:6443", **user)
    page = admin.post(
        "/clusters/register/", {"from": "kubeconfig", "name": "x", "kubeconfig": text}
    )
    api = admin.post(
        "/api/v1/clusters/", {"name": "x", "kubeconfig": text}, content_type="application/json"
    )
    for answer in (page, api):
        assert answer.status_code == 422
        assert b"canary" not in answer.content


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", "canary with spaces"),
        ("client_key", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----"),
        ("client_key", "canary"),
        ("server", "https://canary:canary@k8s.example.com"),
        ("ca", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----"),
        ("kubeconfig", "token: canary\n  bad: [yaml"),
        ("kubeconfig", "canary"),
    ],
)
def test_refused_fields_do_not_give_back_what_may_be_secret(
    world: World, field: str, value: str
) -> None:
    admin = browser(world)
    parts = {"server": "https://k8s.example.com", "ca": CA.cert_pem, "token": "canary-good-token"}
    sent = {"kubeconfig": value} if field == "kubeconfig" else {**parts, field: value}
    mode = "kubeconfig" if field == "kubeconfig" else "fields"
    api = admin.post("/api/v1/clusters/", {"name": "x", **sent}, content_type="application/json")
    page = admin.post("/clusters/register/", {"from": mode, "name": "x", **sent})
    for answer in (page, api):
        assert answer.status_code == 422
        shown = answer.content if field != "server" else answer.content.replace(b"canary@", b"")
        assert b"canary-good-token" not in shown
        assert field == "server" or b"canary" not in shown


def test_the_settings_are_not_in_an_error_page(world: World) -> None:
    seen = send(world.askers["admin"], "GET", "/nothing/", {}, api=False, htmx=False)
    assert seen.status == 404
    assert settings.SECRET_KEY.encode() not in seen.body
    assert b"Traceback" not in seen.body
    assert b"urlconf" not in seen.body.lower()
