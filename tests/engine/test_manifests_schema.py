"""Built manifests satisfy the upstream CRDs of KAITO, where a copy of those is at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.engine.placement_world import demand, story
from workspaces.engine.manifests import RevisionSpec, Target, build, targets
from workspaces.engine.placement import place
from workspaces.engine.types import Situation

CRDS = Path(__file__).resolve().parents[2] / "../shared/crds/kaito"
FILES = {
    "InferenceSet": "kaito.sh_inferencesets.yaml",
    "Workspace": "kaito.sh_workspaces.yaml",
}

pytestmark = pytest.mark.skipif(
    not CRDS.is_dir(), reason="the upstream CRDs are not beside this repository"
)


def closed(schema: Any) -> Any:
    """A structural schema prunes what it does not name; refuse it here instead, to notice."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    free = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and not free:
        made["additionalProperties"] = False
    return made


def schema_of(kind: str) -> Any:
    document = yaml.safe_load((CRDS / FILES[kind]).read_text(encoding="utf-8"))
    version = next(v for v in document["spec"]["versions"] if v["name"] == "v1beta1")
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def chosen() -> tuple[Target, ...]:
    fleet = story()
    return targets(place(demand(3), fleet, Situation()).verdicts, fleet)


def test_inference_sets_of_both_modes_satisfy_the_upstream_schema() -> None:
    revision = RevisionSpec("assist", "chat", 1, "microsoft/Phi-4-mini-instruct", "i", secret="hf")
    built = build(revision, chosen())
    schema = schema_of("InferenceSet")
    for name in built.patches:
        sets = [o for o in built.of(name) if o["kind"] == "InferenceSet"]
        assert len(sets) == 1
        jsonschema.validate(sets[0], schema)


def test_a_standalone_workspace_satisfies_the_upstream_schema() -> None:
    revision = RevisionSpec("assist", "chat", 1, "microsoft/Phi-4-mini-instruct", "i")
    alone = [
        Target(t.cluster, 1, False, t.pool_kind, t.instance_type, t.selector) for t in chosen()
    ]
    built = build(revision, alone)
    for name in built.patches:
        workspace = next(o for o in built.of(name) if o["kind"] == "Workspace")
        jsonschema.validate(workspace, schema_of("Workspace"))


def test_the_check_would_notice_a_field_that_kaito_drops() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"kind": "Workspace", "spec": {"resource": {}}}, schema_of("Workspace"))
