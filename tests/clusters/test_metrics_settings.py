"""How an operator says by which road metrics are read: form and REST, errors by field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from clusters.models import Cluster, Telemetry
from clusters.selectors.metrics import MetricsSettings, metrics_of
from clusters.services.metrics import metrics_configure, prometheus_found, token_of
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from fleetportal.journal.models import Event
from fleetportal.kit.errors import Forbidden, Invalid, Permanent
from tests.clusters.rows import make_cluster
from tests.conftest import ApiFor
from tests.support import People

ClientFor = Callable[[User], Client]
SERVICE = "monitoring/prometheus:9090"
URL = "https://192.0.2.10:9090"
TOKEN = "secret-of-the-prometheus"


@pytest.fixture
def cluster(db: None) -> Cluster:
    return make_cluster()


def configure(people: People, cluster: Cluster, token: str | None = None, **wanted: str) -> None:
    metrics_configure(
        principal=Principal(people.operator),
        cluster=cluster,
        wanted=MetricsSettings(**wanted),  # type: ignore[arg-type]
        token=token,
    )


def test_a_service_is_stored_and_journaled(people: People, cluster: Cluster) -> None:
    configure(people, cluster, road="prometheus", service=SERVICE)
    cluster.refresh_from_db()
    held = metrics_of(cluster)
    assert (held.road, held.service) == ("prometheus", SERVICE)
    assert held.place == ("monitoring", "prometheus", "9090")
    event = Event.objects.get(action="cluster.metrics_configured")
    assert event.after["service"] == SERVICE


def test_a_token_is_sealed_for_its_row_and_told_to_nobody(people: People, cluster: Cluster) -> None:
    configure(people, cluster, TOKEN, road="prometheus", url=URL)
    cluster.refresh_from_db()
    assert TOKEN.encode() not in bytes(cluster.metrics_token_sealed)
    assert token_of(cluster) == TOKEN
    assert TOKEN not in str(list(Event.objects.values()))
    other = make_cluster("other", metrics_token_sealed=cluster.metrics_token_sealed)
    with pytest.raises(Permanent):
        token_of(other)


def test_a_token_stays_with_its_address_and_goes_to_no_other(
    people: People, cluster: Cluster
) -> None:
    configure(people, cluster, TOKEN, road="prometheus", url=URL)
    configure(people, cluster, None, road="prometheus", url=URL, prefix="kserve_")
    assert token_of(cluster) == TOKEN
    configure(people, cluster, None, road="prometheus", url="https://192.0.2.66")
    assert token_of(cluster) == ""


def test_another_prometheus_has_its_own_past(people: People, cluster: Cluster) -> None:
    now = datetime.now(UTC)
    Telemetry.objects.create(cluster=cluster, backfilled_to=now, backfill_from=now)
    configure(people, cluster, road="direct", prefix="kserve_")
    assert Telemetry.objects.get().backfilled_to is not None
    configure(people, cluster, road="direct", service=SERVICE)
    row = Telemetry.objects.get()
    assert (row.backfilled_to, row.backfill_from) == (None, None)


def test_a_prometheus_that_was_found_is_kept_beside_what_people_say(
    people: People, cluster: Cluster
) -> None:
    prometheus_found(cluster=cluster, service=SERVICE)
    configure(people, cluster, road="direct", prefix="kserve_")
    held = metrics_of(cluster)
    assert (held.found, held.prefix, held.readable) == (SERVICE, "kserve_", True)


@pytest.mark.parametrize(
    ("wanted", "token", "field"),
    [
        ({"road": "tunnel"}, None, "road"),
        ({"road": "prometheus"}, None, "service"),
        ({"service": "prometheus"}, None, "service"),
        ({"service": "a/../b:80"}, None, "service"),
        ({"service": "a/b:65536"}, None, "service"),
        ({"service": "a/b:-1"}, None, "service"),
        ({"service": "a/b:0"}, None, "service"),
        ({"service": SERVICE, "url": URL}, None, "url"),
        ({"url": "http://prometheus.example"}, None, "url"),
        ({"url": "https://169.254.169.254"}, None, "url"),
        ({"url": "https://user:pw@192.0.2.1"}, None, "url"),
        ({"url": f"{URL}/?query=up"}, None, "url"),
        ({"url": f"{URL}/pr\u00f6m"}, None, "url"),
        ({"url": f"{URL}/a b"}, None, "url"),
        ({"service": SERVICE}, "x", "token"),
        ({"url": URL}, "two\nlines", "token"),
        ({"url": URL, "ca_pem": "no certificate"}, None, "ca"),
        ({"prefix": "9x"}, None, "prefix"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_field(
    people: People, cluster: Cluster, wanted: dict[str, str], token: str | None, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        configure(people, cluster, token, **wanted)
    assert [problem.field for problem in refused.value.problems] == [field]
    cluster.refresh_from_db()
    assert cluster.metrics == {}


@pytest.mark.parametrize("port", ["1", "9090", "65535", "web", "http-web", "8x"])
def test_a_port_is_a_number_or_a_name(people: People, cluster: Cluster, port: str) -> None:
    configure(people, cluster, road="prometheus", service=f"monitoring/prometheus:{port}")
    assert metrics_of(cluster).place == ("monitoring", "prometheus", port)


def test_an_error_about_a_host_begins_with_the_host(
    people: People, cluster: Cluster, client_for: ClientFor
) -> None:
    sent = {"road": "prometheus", "url": "https://prometheus.invalid"}
    page = client_for(people.operator).post(f"/clusters/{cluster.name}/metrics/", sent)
    assert "It prometheus.invalid" not in page.content.decode()
    assert "prometheus.invalid does not resolve" in page.content.decode()


def test_matchers_cannot_break_out_of_their_quotes(people: People, cluster: Cluster) -> None:
    held = MetricsSettings(matchers={"cluster": 'x"} or up{a="\\'})
    assert held.matchers_text == 'cluster="x\\"} or up{a=\\"\\\\"'
    with pytest.raises(Invalid):
        metrics_configure(
            principal=Principal(people.operator),
            cluster=cluster,
            wanted=MetricsSettings(matchers={'a="b",c': "x"}),
        )


def test_only_who_may_register_clusters_changes_it(people: People, cluster: Cluster) -> None:
    with pytest.raises(Forbidden):
        metrics_configure(
            principal=Principal(people.engineer), cluster=cluster, wanted=MetricsSettings()
        )


def test_stored_nonsense_counts_as_not_said(cluster: Cluster) -> None:
    cluster.metrics = {"road": 7, "prometheus": [], "matchers": {"a": 1}, "prefix": None}
    assert metrics_of(cluster) == MetricsSettings()


def test_the_form_keeps_what_was_typed_and_never_the_token(
    people: People, cluster: Cluster, client_for: ClientFor
) -> None:
    client = client_for(people.operator)
    address = f"/clusters/{cluster.name}/metrics/"
    sent = {"road": "prometheus", "url": "http://x", "token": TOKEN, "matchers": "cluster=west"}
    answer = client.post(address, sent)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "https://" in page and "cluster=west" in page
    assert TOKEN not in page
    answer = client.post(address, {**sent, "url": URL})
    assert answer.status_code == 303
    cluster.refresh_from_db()
    assert (metrics_of(cluster).matchers, token_of(cluster)) == ({"cluster": "west"}, TOKEN)
    page = client.get(address).content.decode()
    assert URL in page and "One is stored" in page and TOKEN not in page
    client.post(address, {"road": "prometheus", "url": URL, "forget_token": "1"})
    cluster.refresh_from_db()
    assert token_of(cluster) == ""


def test_the_page_says_how_it_goes(people: People, cluster: Cluster, client_for: ClientFor) -> None:
    client = client_for(people.operator)
    address = f"/clusters/{cluster.name}/"
    assert "no GPU exporter was seen" in client.get(address).content.decode()
    Telemetry.objects.create(cluster=cluster, problem="The portal lacks get on pods/proxy.")
    assert "lacks get on pods/proxy" in client.get(address).content.decode()
    configure(people, cluster, road="off")
    assert "are not read" in client.get(address).content.decode()


def test_rest_reads_and_changes_it(people: People, cluster: Cluster, api: ApiFor) -> None:
    client = api(people.operator)
    address = f"/api/v1/clusters/{cluster.name}/metrics/"
    first = client.get(address).json()
    assert (first["road"], first["last_answer_at"], first["gpus_measured"]) == (
        "direct",
        None,
        None,
    )
    changed = client.patch(address, {"url": URL, "road": "prometheus", "token": TOKEN}, "json")
    assert changed.status_code == 200, changed.content
    assert (changed.json()["url"], changed.json()["has_token"]) == (URL, True)
    assert TOKEN not in changed.content.decode()
    kept = client.patch(address, {"prefix": "kserve_"}, "json").json()
    assert (kept["url"], kept["prefix"], kept["has_token"]) == (URL, "kserve_", True)
    refused = client.patch(address, {"url": "https://169.254.169.254"}, "json")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "url"
