"""What a person asks of a plan: read, and refused field by field where it cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetportal.kit.errors import FieldProblem, Invalid, Missing
from workspaces import catalog
from workspaces.engine.policy import PolicyError, parse_policy
from workspaces.engine.scores import TERMS
from workspaces.engine.types import Policy
from workspaces.engine.validate import check_deployment_name
from workspaces.models import CatalogModel
from workspaces.selectors.strategies import SHIPPED, offered

MOST_REPLICAS = 1000


def policy_of(spec: Mapping[str, Any]) -> Policy:
    return parse_policy(spec["policy"], terms=TERMS)


def model_row(name: str) -> CatalogModel:
    """The catalog's row for a slug, a Hugging Face id or an alias. Raises Missing."""
    entry = catalog.find(name)
    row = CatalogModel.objects.filter(slug=entry.slug, enabled=True).first() if entry else None
    if row is None:
        raise Missing(f"The catalog has no model {name!r}.", remedy="Pick one from the catalog.")
    return row


def validate(name: str, spec: Mapping[str, Any], model: CatalogModel) -> None:
    """Raises Invalid naming every field that cannot be used."""
    problems = [FieldProblem(p.field, p.message, p.remedy) for p in check_deployment_name(name)]
    if not 1 <= spec["replicas"] <= MOST_REPLICAS:
        problems.append(FieldProblem("replicas", "is out of range", f"1 to {MOST_REPLICAS}."))
    length = spec["max_model_len"]
    if length is not None and not 1 <= length <= model.context_limit:
        remedy = f"1 to {model.context_limit:,} tokens, the model's limit."
        problems.append(FieldProblem("max_model_len", "is out of range", remedy))
    runtimes = model.facts["spec"]["runtimes"]
    if spec["runtime"] not in runtimes:
        remedy = f"Use {' or '.join(runtimes)}."
        problems.append(FieldProblem("runtime", f"{model.name} does not run on it", remedy))
    if spec["strategy"] not in dict(SHIPPED):  # those are always there: no look-up for them
        strategies = [slug for slug, _ in offered()]
        if spec["strategy"] not in strategies:
            remedy = f"Use {' or '.join(strategies)}."
            problems.append(FieldProblem("strategy", "is not known", remedy))
    try:
        policy = policy_of(spec)
        least = policy.number_of_clusters or len(policy.cluster_names)
        if 1 <= spec["replicas"] < least:
            remedy = f"{least} clusters need at least {least}: one replica each."
            problems.append(FieldProblem("replicas", "are fewer than the clusters asked", remedy))
    except PolicyError as error:
        problems.append(FieldProblem(f"policy.{error.field}", error.message, error.remedy))
    if problems:
        raise Invalid(problems)
