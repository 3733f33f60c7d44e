"""Test prompts: asked by a person, answered by a worker through the cluster's API server."""

from __future__ import annotations

from clusters.models import Check
from clusters.services.checks import check_request, check_wait
from fleetportal.accounts.principal import Principal, require
from fleetportal.kit.errors import FieldProblem, Invalid, Refused
from workspaces.models import Deployment, Workspace

PROMPT = "workspaces.prompt"
LONGEST = 4000  # characters


def prompt_send(
    *, principal: Principal, deployment: Deployment, cluster: str, prompt: str, seconds: float = 3.0
) -> Check:
    """Ask the model of a deployment on one cluster ("": any that serves) and wait a moment.

    Raises Forbidden, Invalid, and Refused where nothing serves.
    """
    require(principal, "deployment.prompt", deployment)
    text = prompt.strip()
    if not 1 <= len(text) <= LONGEST:
        raise Invalid(FieldProblem("prompt", f"must have 1 to {LONGEST:,} characters", "Ask something."))
    check = check_request(
        kind=PROMPT,
        cluster=_serving(deployment, cluster).cluster,
        principal=principal,
        team=deployment.team,
        subject_id=deployment.pk,
        request={"prompt": text},
    )
    return check_wait(check, seconds=seconds)


def _serving(deployment: Deployment, cluster: str) -> Workspace:
    rows = Workspace.objects.filter(deployment=deployment, serving=True).select_related("cluster")
    found = rows.filter(cluster__name=cluster).first() if cluster else rows.first()
    if found is not None:
        return found
    if cluster and rows.exists():
        names = ", ".join(row.cluster.name for row in rows)
        raise Invalid(FieldProblem("cluster", f"{cluster[:63]} does not serve it", f"Use {names}."))
    raise Refused("Nothing of this deployment serves yet.", remedy="Wait until a cluster is ready.")
