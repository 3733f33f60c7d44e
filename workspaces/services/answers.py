"""Answers to what people ask about plans and deployments: a dry-run, a test prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusters.gateway import Gateway, kinds
from clusters.models import Check, Cluster
from clusters.services.checks import check_run
from clusters.services.connections import gateway_of
from fleetportal.kit.errors import Missing, PortalError, Temporary
from workspaces.engine.manifests import render
from workspaces.models import Plan, Workspace
from workspaces.services import delivery

DRY_RUN = "workspaces.dry_run"
PROMPT = "workspaces.prompt"
LONGEST_PROMPT = 4000  # characters

VERIFIED, PARTLY, UNVERIFIABLE, REFUSED = "verified", "partly verified", "unverifiable", "refused"

Object = dict[str, Any]


def dry_run_answer(pk: str) -> None:
    check_run(pk, _dry_run)


def prompt_answer(pk: str) -> None:
    check_run(pk, _prompt)


def _dry_run(check: Check) -> dict[str, Any]:
    plan = Plan.objects.filter(pk=check.subject_id).first()
    if plan is None or not plan.manifests:
        raise Missing("This plan has no manifests.")
    found: dict[str, list[dict[str, str]]] = {}
    for name, patch in plan.manifests["patches"].items():
        cluster = Cluster.objects.managed().get(name=name)
        found[name] = _dry_run_cluster(cluster, render(plan.manifests["base"], patch))
    return {"clusters": found}


def _dry_run_cluster(cluster: Cluster, objects: list[Object]) -> list[dict[str, str]]:
    try:
        gateway = gateway_of(cluster)
        namespace = objects[0]["metadata"]["name"]
        there = gateway.get(kinds.NAMESPACE, "", namespace) is not None
    except PortalError as error:
        return [_line(o, UNVERIFIABLE, str(error)) for o in objects]
    return [_dry_run_object(gateway, o, there) for o in objects]


def _dry_run_object(gateway: Gateway, desired: Object, namespace_there: bool) -> dict[str, str]:
    """A namespace or ConfigMap that only a dry-run made does not exist for what comes after it."""
    if desired["kind"] != "Namespace" and not namespace_there:
        return _line(desired, UNVERIFIABLE, "Its namespace is made by the same apply.")
    if desired["kind"] == "Secret":
        return _line(desired, PARTLY, "Its value is put in at apply time.")
    bare, without_config = _without_config(desired)
    try:
        gateway.apply(bare, field_manager=delivery.field_manager(), dry_run=True)
    except Temporary as error:
        return _line(desired, UNVERIFIABLE, str(error))
    except PortalError as error:
        return _line(desired, REFUSED, str(error))
    if without_config:
        return _line(desired, PARTLY, "Checked without its ConfigMap, which does not exist yet.")
    return _line(desired, VERIFIED, "")


def _without_config(desired: Object) -> tuple[Object, bool]:
    if desired["kind"] == "InferenceSet":
        template = desired["spec"]["template"]
        bare = {k: v for k, v in template["inference"].items() if k != "config"}
        spec = {**desired["spec"], "template": {**template, "inference": bare}}
        return {**desired, "spec": spec}, "config" in template["inference"]
    if desired["kind"] == "Workspace":
        bare = {k: v for k, v in desired["inference"].items() if k != "config"}
        return {**desired, "inference": bare}, "config" in desired["inference"]
    return desired, False


def _line(desired: Mapping[str, Any], verdict: str, why: str) -> dict[str, str]:
    name = desired["metadata"]["name"]
    return {"kind": desired["kind"], "name": name, "verdict": verdict, "why": why}


def _prompt(check: Check) -> dict[str, Any]:
    workspace = (
        Workspace.objects.select_related("cluster", "deployment")
        .filter(deployment_id=check.subject_id, serving=True, cluster=check.cluster)
        .first()
    )
    if workspace is None:
        raise Missing("Nothing of this deployment serves on that cluster.")
    text = str(check.request.get("prompt", ""))[:LONGEST_PROMPT]
    answer = delivery.prompt(workspace, text)
    return {"answer": answer, "cluster": workspace.cluster.name}
