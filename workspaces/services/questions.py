"""What a person asks of clusters (dry-run, test prompt); a worker answers (see answers)."""

from __future__ import annotations

from clusters.models import Check
from clusters.services.checks import check_request, check_wait
from clusters.states import CHECK
from fleetportal.accounts.principal import Principal, require
from fleetportal.kit.errors import FieldProblem, Invalid, Refused
from workspaces.models import Deployment, Plan, Workspace

DRY_RUN = "workspaces.dry_run"
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
        words = f"must have 1 to {LONGEST:,} characters"
        raise Invalid(FieldProblem("prompt", words, "Ask something."))
    check = check_request(
        kind=PROMPT,
        cluster=_serving(deployment, cluster).cluster,
        principal=principal,
        team=deployment.team,
        subject_id=deployment.pk,
        request={"prompt": text},
    )
    return check_wait(check, seconds=seconds)


def dry_run_send(*, principal: Principal, plan: Plan, seconds: float = 3.0) -> Check:
    """Ask every chosen cluster whether it would take the plan's objects, and wait a moment.

    A dry-run that is under way is not asked for twice. Raises Forbidden and Refused.
    """
    require(principal, "plan.create", plan)
    if plan.state != "ready":
        raise Refused("Only a plan that is ready can be tried.", remedy="Plan again.")
    rows = Check.objects.filter(kind=DRY_RUN, subject_id=str(plan.pk))
    check = rows.filter(state__in=sorted(CHECK.active)).first() or check_request(
        kind=DRY_RUN, principal=principal, team=plan.team, subject_id=plan.pk
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
