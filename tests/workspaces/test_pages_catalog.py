"""Catalog and model pages: what people see, filter and ask for."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from clusters.models import Cluster
from fleetportal.accounts.models import User
from fleetportal.accounts.principal import Principal
from tests.conftest import CountQueries
from tests.support import People
from tests.workspaces.conftest import PHI, MakeDeployment
from workspaces.models import Plan
from workspaces.services.secrets import secret_set

ClientFor = Callable[[User], Client]
LLAMA = "meta-llama--llama-3.1-8b-instruct"
RAIL = {"team": "assist", "name": "chat", "replicas": "3", "max_model_len": "2,048"}


def names(html: str) -> list[str]:
    return re.findall(r'<h3><a href="[^"]*">([^<]*)</a></h3>', html)


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


def test_the_catalog_says_where_each_model_fits_and_from_what_price(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    html = text(client_for(people.engineer), "/catalog/?q=phi-4-mini")
    assert names(html) == ["Phi-4-mini-instruct"]
    assert "fits 6 of 9, from $0.80/h" in html


def test_the_default_order_begins_with_what_fits_now_and_needs_no_token(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    html = text(client_for(people.engineer), "/catalog/")
    assert "needs token" not in html
    assert "Phi-4-mini-instruct" in names(html)
    assert "autofocus" in html


def test_a_gated_model_is_marked_until_the_team_has_a_token(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    assert "needs token" in text(client, "/catalog/?q=llama-3.1")
    secret_set(principal=Principal(people.engineer), team=people.assist, value="hf_abcdefghij")
    assert "gated, token stored" in text(client, "/catalog/?q=llama-3.1")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("publisher=OpenAI", {"gpt-oss-20b", "gpt-oss-120b"}),
        ("task=completion", {"Mistral-7B-v0.3"}),
        ("q=NEMOTRON+nano+9b", {"NVIDIA-Nemotron-Nano-9B-v2"}),
    ],
)
def test_filters_narrow_the_catalog(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor, query: str, expected: set[str]
) -> None:
    assert set(names(text(client_for(people.engineer), f"/catalog/?{query}"))) == expected


def test_a_search_without_a_match_offers_the_way_back(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    html = text(client_for(people.engineer), "/catalog/?q=zzzzz")
    assert "No model matches." in html
    assert "Clear search and filters" in html


def test_a_search_for_thousands_of_words_is_answered(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    assert "No model matches." in text(client_for(people.engineer), "/catalog/?q=" + "zzz+" * 3000)


def test_pages_and_sorting_are_in_the_url(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    first = names(text(client, "/catalog/?sort=name"))
    second = names(text(client, "/catalog/?sort=name&page=2"))
    assert len(first) == len(second) == 30
    assert not set(first) & set(second)


def test_htmx_gets_the_results_alone(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    response = client_for(people.engineer).get("/catalog/", headers={"HX-Request": "true"})
    assert response.content.decode().lstrip().startswith('<section id="results"')


def test_without_clusters_the_catalog_says_so(people: People, client_for: ClientFor) -> None:
    from workspaces.services.catalog import catalog_sync

    catalog_sync()
    html = text(client_for(people.viewer), "/catalog/")
    assert "no clusters yet" in html


def test_a_foreign_deployment_is_counted_without_its_name(
    people: People,
    fleet: dict[str, Cluster],
    client_for: ClientFor,
    make_deployment: MakeDeployment,
) -> None:
    make_deployment("ours", {"prod-weu": "ready"})
    make_deployment("kyc-extract", {"stg-weu": "ready"}, team=people.risk, user=people.outsider)
    html = text(client_for(people.engineer), "/catalog/?q=phi-4-mini")
    assert "Running here: ours, 1 of another team" in html
    assert "kyc-extract" not in html


def test_the_catalogs_queries_do_not_grow_with_deployments(
    people: People,
    client_for: ClientFor,
    make_deployment: MakeDeployment,
    count_queries: CountQueries,
) -> None:
    client = client_for(people.engineer)
    counts = []
    for size in (3, 30):
        for number in range(size):
            make_deployment(f"d{size}-{number}", {"prod-weu": "ready"})
        with count_queries() as queries:
            text(client, "/catalog/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_model_page_shows_every_cluster_with_its_reason(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    html = text(client_for(people.engineer), f"/catalog/{PHI}/")
    for cluster in fleet:
        assert f'id="fit-{cluster}"' in html
    assert "19 GPUs free, 0 whole nodes free (needs 1). KAITO takes all 8 GPUs of a node." in html
    assert 'value="phi-4-mini-instruct"' in html
    assert 'value="2,048"' in html
    assert "Show where it goes" in html


def test_a_longer_context_recomputes_the_fit(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    response = client_for(people.engineer).get(
        f"/catalog/{PHI}/?max_model_len=131,072", headers={"HX-Request": "true"}
    )
    html = response.content.decode()
    assert html.lstrip().startswith('<div id="fit">')
    assert "43 \u00d7" in html  # KAITO's figure on the L4
    assert "at 131,072 tokens" in html


def test_a_wrong_number_is_said_at_its_field(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    html = text(client, f"/catalog/{PHI}/?replicas=none&max_model_len=9999999")
    assert "A whole number from 1 to 1,000." in html
    assert "A whole number from 1 to 131,072." in html
    response = client.post(f"/catalog/{PHI}/", {**RAIL, "replicas": "-1"})
    assert response.status_code == 422
    assert not Plan.objects.exists()


def test_an_alias_leads_to_the_model_and_an_unknown_name_is_missing(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    response = client.get("/catalog/phi-4-mini-instruct/")
    assert (response.status_code, response.headers["Location"]) == (302, f"/catalog/{PHI}/")
    text(client, "/catalog/no-such-model/", 404)


def test_show_where_it_goes_makes_a_plan_and_opens_it(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    response = client_for(people.engineer).post(f"/catalog/{PHI}/", RAIL)
    plan = Plan.objects.get()
    assert (response.status_code, response.headers["Location"]) == (303, f"/plans/{plan.pk}/")
    assert plan.spec["replicas"] == 3
    assert plan.spec["max_model_len"] == 2048


def test_the_same_name_twice_gets_a_suffix_in_the_rail(
    people: People,
    fleet: dict[str, Cluster],
    client_for: ClientFor,
    make_deployment: MakeDeployment,
) -> None:
    make_deployment("phi-4-mini-instruct", {"prod-weu": "ready"})
    html = text(client_for(people.engineer), f"/catalog/{PHI}/")
    assert 'value="phi-4-mini-instruct-2"' in html


def test_a_viewer_sees_the_fit_and_why_planning_is_not_theirs(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    client = client_for(people.viewer)
    assert "Planning needs the role engineer" in text(client, f"/catalog/{PHI}/")
    assert client.post(f"/catalog/{PHI}/", RAIL).status_code == 403
    assert not Plan.objects.exists()


def test_nobody_plans_for_a_foreign_team(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    assert client_for(people.outsider).post(f"/catalog/{PHI}/", RAIL).status_code == 422
    assert not Plan.objects.exists()


def test_other_methods_are_refused(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    assert client.post("/catalog/").status_code == 405
    assert client.delete(f"/catalog/{PHI}/").status_code == 405


def test_strangers_are_sent_to_the_login(fleet: dict[str, Cluster], client: Client) -> None:
    response = client.get("/catalog/")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login/")


def test_a_token_is_stored_by_an_engineer_and_never_shown(
    people: People, fleet: dict[str, Cluster], client_for: ClientFor
) -> None:
    client = client_for(people.engineer)
    assert "Store the token" in text(client, f"/catalog/{LLAMA}/")
    bad = client.post("/teams/assist/secret/", {"value": "x"})
    assert bad.status_code == 422
    good = client.post(
        "/teams/assist/secret/", {"value": "hf_secret-value", "next": f"/catalog/{LLAMA}/"}
    )
    assert (good.status_code, good.headers["Location"]) == (303, f"/catalog/{LLAMA}/")
    assert "hf_secret-value" not in text(client, "/teams/assist/secret/")
    assert "has no Hugging Face token" not in text(client, f"/catalog/{LLAMA}/")


def test_a_foreign_teams_token_page_is_missing_and_a_viewers_forbidden(
    people: People, client_for: ClientFor
) -> None:
    assert client_for(people.outsider).get("/teams/assist/secret/").status_code == 404
    assert client_for(people.viewer).get("/teams/assist/secret/").status_code == 403
