from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema


@pytest.fixture(scope="module")
def schema() -> Any:
    answer = Client().get("/api/schema/", headers={"accept": "application/json"})
    assert answer.status_code == 200
    return json.loads(answer.content)


def test_the_schema_is_valid_openapi(schema: Any) -> None:
    validate_schema(schema)  # type: ignore[no-untyped-call]


def test_every_operation_may_answer_a_problem_and_every_write_takes_a_key(schema: Any) -> None:
    assert schema["components"]["schemas"]["Problem"]["required"] == ["type", "title", "status"]
    for path in schema["paths"].values():
        for method, operation in path.items():
            content = operation["responses"]["default"]["content"]
            assert "application/problem+json" in content
            names = {parameter["name"] for parameter in operation.get("parameters", [])}
            assert ("Idempotency-Key" in names) == (method != "get")


def test_filters_and_paging_of_a_list_are_described(schema: Any) -> None:
    parameters = schema["paths"]["/api/v1/events/"]["get"]["parameters"]
    assert {"actor", "since", "ordering", "page", "page_size"} <= {
        row["name"] for row in parameters
    }


def test_the_ways_to_sign_in_are_described(schema: Any) -> None:
    schemes = schema["components"]["securitySchemes"]
    assert schemes["token"] == {"type": "http", "scheme": "bearer"}
    assert schemes["password"]["scheme"] == "basic"
    ways = schema["paths"]["/api/v1/tokens/"]["post"]["security"]
    assert {"token": []} in ways
    assert {"password": []} in ways
    assert {"password": []} not in schema["paths"]["/api/v1/tokens/"]["get"]["security"]


def test_json_is_had_by_a_parameter_too(schema: Any) -> None:
    assert json.loads(Client().get("/api/schema/?format=json").content) == schema


def test_browsers_get_yaml_and_nothing_is_needed_to_read_it() -> None:
    answer = Client().get("/api/schema/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/vnd.oai.openapi")
