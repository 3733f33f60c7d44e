from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from clusters.engine.inventory import Quota as QuotaFacts
from clusters.models import Check, Cluster, ClusterGrant, ObservedObject
from clusters.services.registration import quotas_declare
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from tests.clusters.rows import checks_end, make_cluster, node, pool
from tests.conftest import CountQueries
from tests.engine.pki import make_ca
from tests.support import People

ClientFor = Callable[[User], Client]
CA = make_ca().cert_pem
TOKEN = "secret-token-abcdef"


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined, no-any-return]


def post(client: Client, path: str, data: dict[str, str] | None = None) -> object:
    """Send a form and look at the page that it leads to."""
    answer = client.post(path, data or {})
    assert answer.status_code == 303, answer.status_code
    return client.get(answer["Location"].partition("#")[0])


def kubeconfig(server: str = "https://10.1.2.3:6443", extra: str = "") -> str:
    data = base64.b64encode(CA.encode()).decode()
    return (
        "apiVersion: v1\nkind: Config\ncurrent-context: one\n"
        f"clusters: [{{name: one, cluster: {{server: '{server}', "
        f"certificate-authority-data: {data}}}}}]\n"
        f"users: [{{name: one, user: {{token: {TOKEN}{extra}}}}}]\n"
        "contexts: [{name: one, context: {cluster: one, user: one}}]\n"
    )


def form(**fields: str) -> dict[str, str]:
    plain = {
        "from": "fields",
        "name": "new-one",
        "access": "all",
        "server": "https://10.1.2.3:6443",
    }
    return {**plain, "ca": CA, "token": TOKEN, **fields}


# -- the list ------------------------------------------------------------------------------------


def test_the_list_shows_state_contact_whole_nodes_and_kaito(
    people: People, client_for: ClientFor
) -> None:
    make_cluster(nodes=[node(), node("node-1", used=1)])
    page = text(client_for(people.viewer).get("/clusters/"))
    assert "Ready" in page and "0.12.0" in page and "existing nodes" in page
    assert "1 of 2" in page and "15" in page


def test_an_unreachable_cluster_says_unknown_where_numbers_would_stand(
    people: People, client_for: ClientFor
) -> None:
    make_cluster(nodes=[node()], state="unreachable", state_reason="No answer.")
    page = text(client_for(people.viewer).get("/clusters/"))
    assert "Unreachable" in page and "No answer." in page and "unknown" in page
    assert "0 of" not in page


@pytest.mark.parametrize("state", ["unreachable", "credentials_refused", "different_cluster"])
def test_quota_of_a_silent_cluster_gives_no_nodes(
    people: People, client_for: ClientFor, state: str
) -> None:
    make_cluster(pools=[pool(quota=3)], state=state)
    page = text(client_for(people.viewer).get("/clusters/"))
    assert "new</span>" not in page and "unknown</span></span>" in page


def test_quota_of_a_cordoned_cluster_gives_no_nodes(people: People, client_for: ClientFor) -> None:
    make_cluster(pools=[pool(quota=3)], cordoned=True)
    assert "+0 new" in text(client_for(people.viewer).get("/clusters/"))


def test_a_silent_cluster_is_not_said_to_answer(people: People, client_for: ClientFor) -> None:
    make_cluster(nodes=[node()], state="unreachable")
    page = text(client_for(people.viewer).get("/clusters/prod-weu/"))
    assert "KAITO answers" not in page
    assert "Nothing was missing when it was probed" in page


def test_a_cluster_that_is_not_granted_is_neither_listed_nor_found(
    people: People, client_for: ClientFor
) -> None:
    cluster = make_cluster("private", open_to_all=False)
    ClusterGrant.objects.create(cluster=cluster, team=people.assist)
    assert "private" in text(client_for(people.engineer).get("/clusters/"))
    outsider = client_for(people.outsider)
    assert "private" not in text(outsider.get("/clusters/"))
    assert outsider.get("/clusters/private/").status_code == 404


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?state=attention", ["b"]),
        ("?state=cordoned", ["c"]),
        ("?q=north", ["a"]),
        ("?environment=test", ["c"]),
        ("?mode=karpenter", ["b"]),
        ("?sort=-name", ["c", "b", "a"]),
        ("?sort=state", ["b", "c", "a"]),
        ("?sort=-free", ["a", "c", "b"]),
        ("?state=nonsense&sort=nonsense&page=99", ["a", "b", "c"]),
    ],
)
def test_filters_and_orders_of_the_list_stand_in_its_address(
    people: People, client_for: ClientFor, query: str, shown: list[str]
) -> None:
    make_cluster("a", [node()], region="northeurope", gpus_free=8)
    karpenter = {"provisioner": "karpenter", "gaps": []}
    make_cluster("b", [node()], state="unreachable", capabilities=karpenter, gpus_free=8)
    make_cluster("c", [node()], cordoned=True, environment="test", gpus_free=8)
    answer = client_for(people.viewer).get(f"/clusters/{query}")
    assert [line.cluster.name for line in answer.context["lines"]] == shown


def test_queries_of_the_list_do_not_grow_with_clusters(
    people: People, client_for: ClientFor, count_queries: CountQueries
) -> None:
    client = client_for(people.viewer)
    counts = []
    for index in (0, 1):
        for number in range(index * 9 + 1):
            make_cluster(f"c-{index}-{number}", [node()])
        with count_queries() as queries:
            client.get("/clusters/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_htmx_gets_the_list_alone(people: People, client_for: ClientFor) -> None:
    make_cluster()
    part = text(client_for(people.viewer).get("/clusters/", headers={"HX-Request": "true"}))
    assert part.lstrip().startswith("<section") and "prod-weu" in part


# -- one cluster ---------------------------------------------------------------------------------


def test_the_page_says_what_each_gap_costs(people: People, client_for: ClientFor) -> None:
    gap = {"feature": "logs", "missing": "get pods/log", "cost": "Logs cannot be shown."}
    make_cluster(capabilities={"provisioner": "byo", "gaps": [gap]})
    page = text(client_for(people.viewer).get("/clusters/prod-weu/"))
    assert "Logs cannot be shown." in page and "get pods/log" in page


def test_the_page_says_what_the_inventory_leaves_out(people: People, client_for: ClientFor) -> None:
    make_cluster(inventory_notes="Node <a>: left out.\nNode b: left out.")
    page = text(client_for(people.viewer).get("/clusters/prod-weu/"))
    assert "Node &lt;a&gt;: left out." in page and "Node b: left out." in page
    rows = client_for(people.viewer).get("/api/v1/clusters/prod-weu/").json()
    assert rows["inventory_notes"] == ["Node <a>: left out.", "Node b: left out."]


def test_quota_is_shown_with_who_declared_it(people: People, client_for: ClientFor) -> None:
    cluster = make_cluster(
        nodes=[node(pool="new")],
        pools=[pool("new", [node(pool="new")], quota=3)],
        capabilities={"provisioner": "karpenter", "gaps": []},
    )
    quota = QuotaFacts("p5.48xlarge", 3)
    quotas_declare(principal=Principal(people.operator), cluster=cluster, quotas=[quota])
    answer = client_for(people.viewer).get("/clusters/prod-weu/")
    [line] = answer.context["quotas"]
    assert (line.nodes, line.left, line.gpus_left) == (1, 2, 16)
    assert "Declared by operator" in text(answer)


def test_objects_that_are_not_ours_are_named_with_their_manager(
    people: People, client_for: ClientFor
) -> None:
    fields = [
        {"manager": "kaito-workspace", "fieldsV1": {"f:resource": {}}},
        {"manager": "helm", "fieldsV1": {"f:resource": {}, "f:inference": {}}},
    ]
    ObservedObject.objects.create(
        cluster=make_cluster(),
        kind="Workspace",
        namespace="data-science",
        name="legacy-mistral",
        body={"metadata": {"managedFields": fields}},
        seen_at=timezone.now(),
    )
    page = text(client_for(people.viewer).get("/clusters/prod-weu/"))
    assert "Not ours" in page and "legacy-mistral" in page and ">helm<" in page


def test_the_table_shows_the_same_nodes_as_the_grid(people: People, client_for: ClientFor) -> None:
    make_cluster(nodes=[node(used=3, allocatable=7)])
    answer = client_for(people.viewer).get("/clusters/prod-weu/?view=table")
    [row] = answer.context["table"]
    assert (row["allocated"], row["free"], row["faulty"]) == (3, 4, 1)


def test_a_pod_that_is_not_ours_is_named_to_the_fleets_roles_only(
    people: People, client_for: ClientFor
) -> None:
    make_cluster(nodes=[node(used=1, holders=(("secret-team/secret-pod", 1, ""),))])
    assert "secret-pod" in text(client_for(people.operator).get("/clusters/prod-weu/"))
    page = text(client_for(people.viewer).get("/clusters/prod-weu/"))
    assert "secret-pod" not in page and "secret-team" not in page and "not ours" in page


def test_old_news_are_marked_as_such(people: People, client_for: ClientFor) -> None:
    make_cluster(nodes=[node()], observed_at=timezone.now() - timedelta(hours=1))
    page = text(client_for(people.viewer).get("/clusters/prod-weu/"))
    assert "No news for a while" in page and "is-stale" in page


def test_a_cluster_nobody_has_seen_shows_no_zeros(people: People, client_for: ClientFor) -> None:
    make_cluster(pools=[], state="joining", observed_at=None, last_contact_at=None, probed_at=None)
    page = text(client_for(people.viewer).get("/clusters/prod-weu/"))
    assert "no inventory has been read yet" in page and "never" in page


# -- actions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["cordon", "quota", "credential", "remove"])
def test_only_the_fleets_roles_may_ask_for_an_action(
    people: People, client_for: ClientFor, path: str
) -> None:
    make_cluster()
    assert client_for(people.operator).get(f"/clusters/prod-weu/{path}/").status_code == 200
    for user in (people.engineer, people.approver, people.auditor):
        assert client_for(user).get(f"/clusters/prod-weu/{path}/").status_code == 403


@pytest.mark.parametrize("path", ["check", "uncordon"])
def test_what_changes_something_is_not_done_by_get(
    people: People, client_for: ClientFor, path: str
) -> None:
    make_cluster()
    client = client_for(people.operator)
    assert client.get(f"/clusters/prod-weu/{path}/").status_code == 405
    assert client_for(people.engineer).post(f"/clusters/prod-weu/{path}/").status_code == 403


def test_check_now_shows_the_answer_on_the_page(people: People, client_for: ClientFor) -> None:
    make_cluster()
    client = client_for(people.operator)
    with checks_end("failed", error="No route to host.", remedy="Open the port."):
        answer = post(client, "/clusters/prod-weu/check/")
    assert "Check failed" in text(answer) and "No route to host. Open the port." in text(answer)


def test_a_check_without_a_worker_is_shown_as_pending(
    people: People, client_for: ClientFor
) -> None:
    make_cluster()
    answer = post(client_for(people.operator), "/clusters/prod-weu/check/")
    assert "A worker connects now" in text(answer)


def test_cordoning_takes_a_reason_and_shows_it(people: People, client_for: ClientFor) -> None:
    cluster = make_cluster(nodes=[node()])
    client = client_for(people.operator)
    refused = client.post("/clusters/prod-weu/cordon/", {"comment": " ", "version": 1})
    assert refused.status_code == 422 and "Say why" in text(refused)
    done = post(client, "/clusters/prod-weu/cordon/", {"comment": "KAITO upgrade", "version": "1"})
    assert "Cordoned: KAITO upgrade" in text(done)
    again = client.post("/clusters/prod-weu/cordon/", {"comment": "Twice", "version": 2})
    assert again.status_code == 303
    client.post("/clusters/prod-weu/uncordon/")
    cluster.refresh_from_db()
    assert not cluster.cordoned and cluster.cordon_reason == ""


def test_cordoning_what_somebody_else_changed_is_refused(
    people: People, client_for: ClientFor
) -> None:
    make_cluster(version=7)
    answer = client_for(people.operator).post(
        "/clusters/prod-weu/cordon/", {"comment": "upgrade", "version": 6}
    )
    assert answer.status_code == 409 and "upgrade" in text(answer)


def test_quota_lines_replace_what_was_declared(people: People, client_for: ClientFor) -> None:
    cluster = make_cluster()
    client = client_for(people.operator)
    wrong = client.post("/clusters/prod-weu/quota/", {"quotas": "Standard_A six"})
    assert wrong.status_code == 422 and "number of nodes" in text(wrong)
    client.post("/clusters/prod-weu/quota/", {"quotas": "A 6\nB 2 spot\n"})
    assert list(cluster.quotas.order_by("pk").values_list("instance_type", "nodes")) == [
        ("A", 6),
        ("B", 2),
    ]
    assert "B 2 spot" in text(client.get("/clusters/prod-weu/quota/"))


def test_removing_wants_the_name_and_leaves_the_list(people: People, client_for: ClientFor) -> None:
    make_cluster()
    client = client_for(people.operator)
    refused = client.post("/clusters/prod-weu/remove/", {"confirm": "prod"})
    assert refused.status_code == 422 and "Type prod-weu." in text(refused)
    assert client.post("/clusters/prod-weu/remove/", {"confirm": "prod-weu"}).status_code == 303
    assert client.get("/clusters/prod-weu/").status_code == 404
    assert client.post("/clusters/prod-weu/remove/", {"confirm": "prod-weu"}).status_code == 404


# -- joining -------------------------------------------------------------------------------------


def test_a_cluster_is_registered_from_fields_and_checked(
    people: People, client_for: ClientFor
) -> None:
    with checks_end():
        answer = post(
            client_for(people.operator), "/clusters/register/", form(labels="tier=gold\nzone=a")
        )
    cluster = Cluster.objects.get(name="new-one")
    assert cluster.labels == {"tier": "gold", "zone": "a"} and cluster.open_to_all
    assert Check.objects.filter(cluster=cluster, kind="clusters.connection").count() == 1
    assert TOKEN not in text(answer) and TOKEN.encode() not in bytes(cluster.credential_sealed)


def test_a_cluster_is_registered_from_a_kubeconfig(people: People, client_for: ClientFor) -> None:
    sent = {"name": "kube", "from": "kubeconfig", "kubeconfig": kubeconfig(), "access": "teams"}
    with checks_end():
        client_for(people.operator).post("/clusters/register/", {**sent, "teams": ["assist"]})
    cluster = Cluster.objects.get(name="kube")
    assert [grant.team for grant in cluster.grants.all()] == [people.assist]


def test_errors_stand_at_their_field_and_no_credential_comes_back(
    people: People, client_for: ClientFor
) -> None:
    answer = client_for(people.operator).post(
        "/clusters/register/",
        form(name="Bad Name", server="http://plain", labels="nonsense"),
    )
    page = text(answer)
    assert answer.status_code == 422
    assert 'id="e-server"' in page and "Only https:// is accepted." in page
    assert 'id="e-labels"' in page and TOKEN not in page and "BEGIN CERTIFICATE" not in page
    assert 'value="Bad Name"' in page and not Cluster.objects.exists()


def test_a_kubeconfig_that_starts_a_program_is_refused_at_its_field(
    people: People, client_for: ClientFor
) -> None:
    sent = {"name": "kube", "from": "kubeconfig", "access": "all"}
    text_ = kubeconfig(extra=", exec: {command: sh}")
    answer = client_for(people.operator).post("/clusters/register/", {**sent, "kubeconfig": text_})
    assert answer.status_code == 422 and 'id="e-kubeconfig"' in text(answer)
    assert "exec" in text(answer) and TOKEN not in text(answer)


@pytest.mark.parametrize("name", ["register", "prod-weu"])
def test_a_name_that_is_taken_or_reserved_is_refused(
    people: People, client_for: ClientFor, name: str
) -> None:
    make_cluster()
    answer = client_for(people.operator).post("/clusters/register/", form(name=name))
    assert answer.status_code == 422 and 'id="e-name"' in text(answer)
    assert "Choose another name." in text(answer)


def test_the_address_of_the_cloud_metadata_is_refused(
    people: People, client_for: ClientFor
) -> None:
    answer = client_for(people.operator).post(
        "/clusters/register/", form(server="https://169.254.169.254")
    )
    assert answer.status_code == 422 and 'id="e-server"' in text(answer)


def test_engineers_do_not_register(people: People, client_for: ClientFor) -> None:
    client = client_for(people.engineer)
    assert client.get("/clusters/register/").status_code == 403
    assert client.post("/clusters/register/", form()).status_code == 403
    assert "Register a cluster" not in text(client.get("/clusters/"))


def test_the_manifest_of_rights_can_be_downloaded(people: People, client_for: ClientFor) -> None:
    answer = client_for(people.operator).get("/clusters/register/member-rbac.yaml")
    page = text(answer)
    assert answer["Content-Type"].startswith("application/yaml")
    for role in ("read", "deploy", "observe", "namespaces"):
        assert f"name: fleetportal-{role}\n" in page


def test_another_credential_is_stored_and_journaled_without_its_text(
    people: People, client_for: ClientFor
) -> None:
    cluster = make_cluster()
    sent = {**form(), "token": "another-token"}
    with checks_end():
        answer = client_for(people.operator).post("/clusters/prod-weu/credential/", sent)
    assert answer.status_code == 303
    cluster.refresh_from_db()
    assert cluster.credential_version == 2
    event = Event.objects.get(action="cluster.credential_replaced")
    assert "another-token" not in str([event.before, event.after, event.reason])
