"""What the writes of the API take: the fields they list, in their types, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import models, transaction

from rollouts.models import Vote
from tests.fleet.raw_server import CA as TEST_CA
from tests.security.matrix import is_api, names, url_of
from tests.security.table import ROWS
from tests.security.world import NOWHERE, PHI, World
from workspaces.models import Plan

pytestmark = pytest.mark.django_db

JSON = "application/json"
CA = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----"
BIG = 10**30
ODD: list[Any] = [
    *(None, True, -1, 0, BIG, -BIG, 1.5, 1e308, "", " ", "\u202e", "x" * 5000, "💥", "é" * 300),
    *([], {}, [[]], [None], {"a": None}, {"": ""}, [1, "2", {}], "1e999", "NaN", "0x10", "../.."),
    *("' OR 1=1 --", "<script>", "{{7*7}}", "%s%n", "\\x00", "\ud7ff", {"a": {"b": [{}] * 50}}),
]
POLICY: list[Any] = [
    {"placement_type": 5},
    {"placement_type": "PickN", "number_of_clusters": BIG},
    {"placement_type": "PickN", "number_of_clusters": -1},
    {"placement_type": "PickN", "number_of_clusters": True},
    {"placement_type": "PickN", "number_of_clusters": "3"},
    {"placement_type": "PickFixed", "cluster_names": "prod-weu"},
    {"placement_type": "PickFixed", "cluster_names": [None, {}]},
    {"required": "x"},
    {"required": [[]]},
    {"required": [{"labels": []}]},
    {"required": [{"labels": {"match_labels": {"a": 1}}}]},
    {"required": [{"labels": {"match_expressions": [{"key": "a", "operator": "Near"}]}}]},
    {"required": [{"properties": [{"name": "a", "operator": "Gt", "value": {}}]}]},
    {"required": [{"properties": [{"name": "a", "operator": "Gt", "value": "9" * 5000}]}]},
    {"required": [{"properties": [{"name": "a", "operator": "Gt", "value": "1e999999"}]}]},
    {"preferred": [{"weight": BIG}]},
    {"preferred": [{"weight": 1.5, "labels": {}}]},
    {"preferred": [{"weight": 10, "property_sorter": []}]},
    {"spread": [{"topology_key": {}, "max_skew": 1}]},
    {"spread": [{"topology_key": "region", "max_skew": -1}]},
    {"spread": [{"topology_key": "region", "max_skew": BIG}]},
    {"spread": {"a": 1}},
    {"tolerations": [5]},
    {"tolerations": [{"key": [], "operator": "Exists"}]},
    {"weights": {"price": -1}},
    {"weights": {"price": 1e308, "region": 1e308}},
    {"weights": {"price": "x"}},
    {"weights": {"nothing": 1}},
    {"weights": []},
    {"unknown": 1},
    {"max_nodes": BIG},
    {"budget_per_hour": "x"},
    {"regions": {}},
]


def good(world: World) -> dict[str, dict[str, Any]]:
    """URL name -> a body that is taken (a register lacks only a true certificate)."""
    vote = world.bodies["vote"]["assist"]
    return {
        "api-plan-list": {
            "team": "assist",
            "name": "fresh",
            "model": PHI,
            "replicas": 3,
            "max_model_len": 2048,
            "runtime": "vllm",
            "strategy": "staged",
            "policy": {},
        },
        "api-deployment-list": dict(world.bodies["plan"]["assist"]),
        "api-approval-votes": {**vote, "decision": "reject"},
        "api-rollout-pause": {"reason": "Wait"},
        "api-deployment-prompt": {"prompt": "Hello?", "cluster": ""},
        "api-token-list": {"name": "mine", "scopes": ["read"], "expires_in_days": 3},
        "api-team-secret": {"value": "hf_abcdefgh"},
        "api-cluster-list": {
            "name": "fresh",
            "server": "https://k8s.example.com:6443",
            "ca": CA,
            "token": "t0ken",
            "environment": "test",
            "region": "weu",
            "provider": "azure",
            "labels": {"a": "b"},
            "grants": ["assist"],
        },
        "api-cluster-cordon": {"reason": "Power work"},
    }


WHO = {"api-approval-votes": "approver"}
WRITERS = [
    *("api-plan-list", "api-deployment-list", "api-approval-votes", "api-rollout-pause"),
    *("api-deployment-prompt", "api-token-list", "api-team-secret", "api-cluster-list"),
    "api-cluster-cordon",
]


def call(world: World, name: str, body: Any) -> Any:
    """The write, undone afterwards."""
    method = "put" if name == "api-team-secret" else "post"
    which = "assist" if ROWS[name].kind else ""
    client = world.askers[WHO.get(name, "admin")].client
    with transaction.atomic():
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        answer = getattr(client, method)(url_of(world, name, which), text, content_type=JSON)
        if answer.status_code < 300:
            assert not too_long(), (name, body)
        transaction.set_rollback(True)
    return answer


def too_long() -> list[str]:
    """Texts that PostgreSQL would refuse: SQLite stores any length."""
    found = []
    for model in apps.get_models():
        for field in model._meta.fields:
            if isinstance(field, models.CharField) and field.max_length:
                name = f"{field.attname}__length__gt"
                if model._default_manager.filter(**{name: field.max_length}).exists():
                    found.append(f"{model._meta.label}.{field.name}")
    return found


@pytest.fixture(autouse=True)
def lengths() -> Iterator[None]:
    from django.db.models.functions import Length

    models.CharField.register_lookup(Length)
    yield
    models.CharField._unregister_lookup(Length)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", WRITERS)
def test_no_value_of_any_field_breaks_a_write(world: World, name: str) -> None:
    body = good(world)[name]
    wrong: list[str] = []
    for field in body:
        values = ODD + (POLICY if field == "policy" else [])
        for value in values:
            answer = call(world, name, {**body, field: value})
            shown = f"{field}={json.dumps(value)[:80]}: {answer.status_code}"
            if answer.status_code >= 500 or answer.status_code in (401, 403, 405):
                wrong.append(shown)
            elif answer.status_code == 422:
                told = answer.json()["errors"]
                if not told or not any(field in one["field"] or one["field"] for one in told):
                    wrong.append(f"{shown} names no field")
            if answer.status_code >= 400 and "problem" not in answer.headers["Content-Type"]:
                wrong.append(f"{shown} is no problem document")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "body",
    [
        *("[]", "null", "1", '"x"', "", "{", '{"a":NaN}', '{"a":1e999}', '{"a":"\\u0000"}'),
        *('{"a":"\\ud800"}', "[" * 3000, '{"a":' * 3000, b"\xff\xfe", "-1", "true"),
    ],
)
def test_a_body_that_is_no_object_is_refused(world: World, name: str, body: str) -> None:
    answer = call(world, name, body)
    allowed = {400, 413, 422} | ({202} if name == "api-rollout-pause" and not body else set())
    assert answer.status_code in allowed, (answer.status_code, answer.content[:200])
    assert answer.status_code == 202 or "problem" in answer.headers["Content-Type"]


def test_a_body_beyond_a_mebibyte_is_refused(world: World) -> None:
    answer = call(world, "api-plan-list", '{"name":"' + "x" * (1 << 20) + '"}')
    assert answer.status_code == 413


@pytest.mark.parametrize("name", WRITERS)
def test_fields_that_a_write_does_not_list_are_never_written(world: World, name: str) -> None:
    """Every column of every model, beside a good body: refused, or as if it had not been sent."""
    body = good(world)[name]
    extra: dict[str, Any] = {
        "id": NOWHERE,
        "pk": NOWHERE,
        "state": "ready",
        "version": 99,
        "digest_": "x",
        "team_id": 999,
        "created_by": 1,
        "requested_by": "operator",
        "requester": 1,
        "voter": 1,
        "voter_id": 1,
        "had_role": True,
        "quorum": 0,
        "roles": [],
        "expires_at": "2099-01-01T00:00:00Z",
        "price_per_hour": 0,
        "verdicts": [],
        "manifests": {},
        "user": 1,
        "user_id": 1,
        "is_superuser": True,
        "fleet_role": "admin",
        "credential_sealed": "x",
        "simulated": True,
        "open_to_all": True,
        "uid": "stolen",
        "revoked_at": None,
        "digest": "d" * 64,
        "prefix": "aaaaaaaaaa",
        "set_by": 1,
        "principal": "admin",
    }
    for field, value in extra.items():
        if field in body:
            continue
        answer = call(world, name, {**body, field: value})
        assert answer.status_code < 500, field
        if answer.status_code < 300:
            told = json.dumps(answer.json())
            assert "stolen" not in told
            assert NOWHERE not in told
            assert '"version": 99' not in told
            assert "2099-01-01" not in told
            assert '"prefix": "aaaaaaaaaa"' not in told


def test_a_vote_is_always_that_of_the_one_who_sends_it(world: World) -> None:
    approver, body = world.askers["approver"], good(world)["api-approval-votes"]
    admin = world.askers["admin"].user
    assert approver.user is not None
    assert admin is not None
    url = url_of(world, "api-approval-votes", "assist")
    forged = {**body, "voter": admin.pk, "voter_id": admin.pk, "requester_id_copy": 0}
    answer = approver.client.post(url, json.dumps(forged), content_type=JSON)
    if answer.status_code == 201:
        vote = Vote.objects.latest("pk")
        assert vote.voter_id == approver.user.pk
        assert vote.requester_id_copy == vote.approval.requester_id


def test_a_plan_never_takes_an_unknown_field(world: World) -> None:
    before = Plan.objects.count()
    answer = call(world, "api-plan-list", {**good(world)["api-plan-list"], "state": "ready"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "state"
    assert Plan.objects.count() == before


# --- reading ----------------------------------------------------------------------------------

LISTS = [name for name in names() if is_api(name) and name.endswith("-list")]


@pytest.mark.parametrize("name", LISTS)
def test_a_parameter_that_a_list_does_not_know_is_refused(world: World, name: str) -> None:
    client = world.askers["admin"].client
    for query in ("typo=1", "team__slug=risk", "id=1", "user__password__startswith=a", "__=1"):
        answer = client.get(f"{url_of(world, name, '')}?{query}")
        assert answer.status_code == 422, (name, query)
        assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize("name", LISTS)
def test_no_parameter_breaks_a_list(world: World, name: str) -> None:
    client, url = world.askers["admin"].client, url_of(world, name, "")
    odd = ("", "0", "-1", "9" * 5000, "NaN", "x" * 3000, "%FF", "%F0%9F%92%A5", "a,b", "[]", "1e9")
    for key in ("page", "page_size", "ordering", "team", "state", "since", "until", "q", "search"):
        for value in odd:
            answer = client.get(f"{url}?{key}={value}")
            assert answer.status_code in (200, 404, 422), (key, value[:20], answer.status_code)


# /readyz says 503 here, rightly: no worker runs.
PAGES = [
    name for name in names() if not is_api(name) and "GET" in ROWS[name].cells and name != "readyz"
]
QUERIES = ("page", "sort", "q", "team", "state", "tab", "group", "view", "since", "from", "show")


@pytest.mark.parametrize("value", ["", "-1", "9" * 5000, "%FF", "%F0%9F%92%A5", "\u0661", "' OR 1"])
def test_no_parameter_breaks_a_page(world: World, value: str) -> None:
    client = world.askers["admin"].client
    for name in PAGES:
        which = "" if not ROWS[name].kind else next(iter(world.urls[ROWS[name].kind]))
        query = "&".join(f"{key}={value}" for key in QUERIES)
        answer = client.get(f"{url_of(world, name, which)}?{query}")
        assert answer.status_code < 500, (name, value[:20])


MALFORMED = [
    *(
        "99999999",
        "x",
        "..",
        "%2e%2e",
        "0" * 300,
        NOWHERE[:-1],
        f"{NOWHERE}0",
        NOWHERE.upper(),
        "%F0%9F",
    ),
    *("a%2Fb", "a%0Ab", "null", "-1", "%27", "{}", "00000000-0000-0000-0000-00000000000g", "%20"),
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_id_is_not_found(world: World, text: str) -> None:
    client = world.askers["admin"].client
    places = ("plans", "deployments", "rollouts", "approvals", "clusters", "catalog", "teams")
    api = ("plans", "deployments", "rollouts", "approvals", "checks", "events", "models")
    urls = [f"/{one}/{text}/" for one in places]
    urls += [f"/api/v1/{one}/{text}/" for one in (*api, "clusters", "strategies")]
    for url in urls:
        answer = client.get(url)
        assert answer.status_code == 404, (url, answer.status_code)
    assert client.delete(f"/api/v1/tokens/{text}/").status_code == 404


LONG = ["x" * 5000, "9" * 5000, "\u0661", "", "é" * 400]
FORMS: list[tuple[str, str, dict[str, str]]] = [
    ("cluster_cordon", "all", {"comment": "{}"}),
    ("cluster_metrics", "all", {"road": "{}"}),
    ("cluster_metrics", "all", {"road": "prometheus", "service": "{}", "prefix": "{}"}),
    ("cluster_metrics", "all", {"road": "prometheus", "url": "{}", "ca": "{}", "token": "{}"}),
    ("cluster_metrics", "all", {"road": "direct", "matchers": "{}={}"}),
    ("cluster_quota", "all", {"quotas": "{}"}),
    ("cluster_quota", "all", {"quotas": "Standard_X {}"}),
    ("cluster_quota", "all", {"quotas": "{} 3"}),
    ("price_set", "", {"instance_type": "{}", "usd_per_hour": "1", "source": "x"}),
    ("price_set", "", {"instance_type": "x", "usd_per_hour": "{}", "source": "{}", "as_of": "{}"}),
    ("price_set", "", {"instance_type": "x", "usd_per_hour": "1", "source": "{}", "region": "{}"}),
    ("price_import", "", {"csv": "provider,instance_type,usd_per_hour,source\n{},x,1,y"}),
    ("price_import", "", {"csv": "{}", "step": "import"}),
    ("rollout_act", "assist", {"comment": "{}"}),
    ("approval_reject", "assist", {"comment": "{}", "digest": "{}"}),
    ("deployment_prompt", "assist", {"prompt": "{}", "cluster": "{}"}),
    ("team_secret", "assist", {"value": "{}", "next": "{}"}),
    ("model", "all", {"name": "{}", "replicas": "{}", "max_model_len": "{}"}),
    ("model", "all", {"strategy": "{}", "team": "assist", "name": "fresh"}),
    ("model", "all", {"runtime": "{}", "team": "assist", "name": "fresh"}),
    ("rollout_start", "", {"plan": "{}", "digest": "{}"}),
    ("login", "", {"username": "{}", "password": "{}"}),
]


@pytest.mark.parametrize(("name", "which", "form"), FORMS)
def test_no_text_of_any_form_breaks_a_page(
    world: World, name: str, which: str, form: dict[str, str]
) -> None:
    asker = "approver" if name == "approval_reject" else "admin"
    for value in LONG:
        sent = {key: text.replace("{}", value) for key, text in form.items()}
        with transaction.atomic():
            answer = world.askers[asker].client.post(url_of(world, name, which), sent)
            assert answer.status_code < 500, (sent, answer.status_code)
            assert not too_long(), value[:5]
            transaction.set_rollback(True)


@pytest.mark.parametrize("field", ["environment", "region", "provider", "labels", "name", "teams"])
def test_no_text_about_a_cluster_is_longer_than_its_column(
    world: World, field: str, settings: Any
) -> None:
    settings.ALLOW_LOOPBACK_CLUSTERS = True
    client = world.askers["admin"].client
    good_one = {"from": "fields", "name": "fresh", "server": "https://127.0.0.1:6443"}
    secret = {"ca": TEST_CA.cert_pem, "token": "a-token-of-the-portal"}
    for value in ["fine", *LONG]:
        with transaction.atomic():
            sent = {**good_one, **secret, field: value}
            answer = client.post("/clusters/register/", sent)
            taken = value == "fine" and field not in ("labels", "provider", "teams")
            assert answer.status_code == 303 if taken else answer.status_code < 500, field
            assert not too_long(), (field, value[:5])
            transaction.set_rollback(True)
