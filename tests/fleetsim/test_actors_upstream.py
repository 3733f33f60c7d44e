"""What the simulated KAITO writes satisfies the upstream CRDs, where a copy of them is at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.actorbench import NAMESPACE, Bench, auto, byo, inference_set

CRDS = Path(__file__).resolve().parents[2] / "../shared/crds/kaito"


def upstream(name: str) -> dict[str, Any]:
    """The v1beta1 schema of an upstream CRD, closed against unknown fields."""
    path = CRDS / f"kaito.sh_{name}.yaml"
    if not path.exists():
        pytest.skip("the upstream CRDs are not beside this repository")
    versions = yaml.safe_load(path.read_text())["spec"]["versions"]
    found = next(each for each in versions if each["name"] == "v1beta1")
    return closed(found["schema"]["openAPIV3Schema"])


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Unknown fields refused wherever the schema is structural and not open by intent."""
    keep = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("type") != "object"
    new = dict(schema)
    if "properties" in schema:
        new["properties"] = {key: closed(part) for key, part in schema["properties"].items()}
        if not keep and "additionalProperties" not in schema:
            new["additionalProperties"] = False
    if isinstance(schema.get("items"), dict):
        new["items"] = closed(schema["items"])
    return new


@pytest.mark.parametrize("mode", ["byo", "auto", "fault"])
def test_workspaces_and_inference_sets_satisfy_the_upstream_schemas(mode: str) -> None:
    bench = Bench()
    faults = [{"kind": "oom"}] if mode == "fault" else []
    store = bench.cluster(**(auto() if mode == "auto" else byo(faults=faults)))
    machine: dict[str, Any] = {}
    if mode == "auto":
        machine = {"instance_type": "Standard_NC24ads_A100_v4"}
    store.apply(inference_set(**machine), manager="fleetportal")
    bench.pass_time(700)
    for kind, name in (("Workspace", "workspaces"), ("InferenceSet", "inferencesets")):
        rows = store.list(kind, NAMESPACE)
        assert rows
        for row in rows:
            errors = [e.message for e in Draft202012Validator(upstream(name)).iter_errors(row)]
            assert errors == []
