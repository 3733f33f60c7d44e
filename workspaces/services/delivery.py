"""One workspace to its cluster: look first, apply what differs, ask the model, point the Service.

Every function is idempotent and calls a cluster, so none may run inside a transaction. Errors are
those of the gateway: Temporary may pass, the rest will not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from clusters.engine.telemetry.runtimes import read_runtime
from clusters.gateway import Gateway, kinds, kube_system_uid
from clusters.services.connections import gateway_of
from clusters.services.telling import announce
from fleetportal.kit import news
from fleetportal.kit.errors import Permanent, PortalError, Refused, Temporary
from fleetportal.kit.states import move
from workspaces.engine.manifests import OURS
from workspaces.engine.ownership import desired_hash, differs, stamp, with_token
from workspaces.models import Workspace, WorkspaceObject
from workspaces.services.secrets import secret_open
from workspaces.states import WORKSPACE

SHARED = frozenset({"Namespace", "Secret", "Service"})  # they outlive the revision
UNREADABLE = frozenset({"Secret"})  # our role may write and delete them, never read
SMOKE_TOKENS = 8
PROBE = "Answer with one word: ready?"
COMPLETIONS = "/v1/chat/completions"
COMPLETION_SECONDS = 30.0

Object = dict[str, Any]


def field_manager() -> str:
    """`fleetportal` for the first installation, `fleetportal-<id>` for any other."""
    return "fleetportal" if settings.INSTALL_ID == "main" else f"fleetportal-{settings.INSTALL_ID}"


def preflight(workspace: Workspace) -> None:
    """Whether the cluster can take the workspace now; changes nothing. Raises when it cannot."""
    cluster = workspace.cluster
    cluster.refresh_from_db(fields=["state", "cordoned", "cordon_reason", "uid"])
    if cluster.cordoned and workspace.state == "planned":
        raise Refused(f"{cluster.name} is cordoned: {cluster.cordon_reason}")
    gateway = gateway_of(cluster)
    same_cluster(workspace, gateway)
    held = gateway.get(kinds.BY_NAME[workspace.kind], workspace.namespace, workspace.name)
    if held is not None and not _ours(held):
        raise Refused(f"{workspace.kind} {workspace.name} exists and is not ours.")


def workspace_apply(workspace: Workspace, *, fence: int, digest: str) -> None:
    """Bring the cluster to the workspace's objects, all but the Service.

    Twice equals once: each object is read first and applied only where one of our fields differs.
    """
    if workspace.state in ("retiring", "retired"):
        raise Refused("It is being taken off the cluster.", remedy="Plan again.")
    gateway = gateway_of(workspace.cluster)
    same_cluster(workspace, gateway)
    if workspace.state == "planned":
        move(workspace, "applying", machine=WORKSPACE, state_since=timezone.now())
    for desired in workspace.manifests:
        if desired["kind"] != "Service":
            _apply_one(gateway, workspace, desired, fence=fence, digest=digest)
    if workspace.state == "applying":
        move(workspace, "getting_nodes", machine=WORKSPACE, state_since=timezone.now())
    # The collector may have seen the object before its row knew the UID.
    announce(workspace.cluster)


def service_point(workspace: Workspace, *, fence: int, digest: str) -> None:
    """Our Service to this workspace: new connections go there from now on.

    Always written, and only onto the version that was read: the fence in it moves the version on,
    so that a request which an earlier holder lost on its way fails instead of switching back.
    """
    gateway = gateway_of(workspace.cluster)
    same_cluster(workspace, gateway)
    service = next(o for o in workspace.manifests if o["kind"] == "Service")
    _apply_one(gateway, workspace, service, fence=fence, digest=digest, always=True)


def workspace_serves(workspace: Workspace) -> None:
    """Record that our Service points here. The caller's transaction holds the rollout's fence."""
    with transaction.atomic():
        others = Workspace.objects.filter(
            deployment=workspace.deployment, cluster=workspace.cluster, serving=True
        )
        others.exclude(pk=workspace.pk).update(serving=False)
        Workspace.objects.filter(pk=workspace.pk).update(serving=True)
        news.changed_row(workspace)


def smoke(workspace: Workspace) -> None:
    """One real completion through every replica's own Service. Raises when one does not answer."""
    gateway = gateway_of(workspace.cluster)
    for child in children_of(workspace, gateway):
        complete(gateway, workspace, child, PROBE, tokens=SMOKE_TOKENS)


def prompt(workspace: Workspace, text: str, *, tokens: int = 128) -> str:
    """A completion through our Service, as a client in the cluster would get it."""
    gateway = gateway_of(workspace.cluster)
    return complete(gateway, workspace, workspace.service, text, tokens=tokens)


def complete(
    gateway: Gateway, workspace: Workspace, service: str, text: str, *, tokens: int
) -> str:
    """The text that the model answers. Raises Permanent when the answer is not a completion."""
    body = {
        "model": workspace.deployment.name,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "temperature": 0,
    }
    answer = gateway.service_proxy(
        workspace.namespace, service, 80, "POST", COMPLETIONS, body, deadline=COMPLETION_SECONDS
    )
    if answer.status >= 500:
        raise Temporary(f"{service} answered {answer.status}: {_excerpt(answer.body)}", delay=2)
    try:
        content = orjson.loads(answer.body)["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        why = f"{service} answered {answer.status}, not a completion: {_excerpt(answer.body)}"
        raise Permanent(why) from error
    return str(content)


def load_observe(workspace: Workspace) -> None:
    """Running and waiting requests of all replicas now; unknown where one does not say."""
    try:
        running, waiting = _load(workspace)
    except PortalError:
        running = waiting = None
    Workspace.objects.filter(pk=workspace.pk).update(
        running_requests=running, waiting_requests=waiting
    )
    news.changed_row(workspace)


def _load(workspace: Workspace) -> tuple[float | None, float | None]:
    gateway = gateway_of(workspace.cluster)
    running: float | None = 0.0
    waiting: float | None = 0.0
    for child in children_of(workspace, gateway):
        answer = gateway.service_proxy(workspace.namespace, child, 80, "GET", "/metrics")
        reading = read_runtime(answer.body)
        gauges = reading.gauges if reading else {}
        running = _plus(running, gauges.get("running"))
        waiting = _plus(waiting, gauges.get("waiting"))
    return running, waiting


def children_of(workspace: Workspace, gateway: Gateway) -> list[str]:
    """Names of KAITO's Workspaces: the object itself, or what the set made. KAITO gives each one a
    Service of the same name."""
    if workspace.kind == "Workspace":
        return [workspace.name]
    selector = f"inferenceset.kaito.sh/created-by={workspace.name}"
    children, _ = gateway.list_raw(kinds.WORKSPACE, workspace.namespace, selector=selector)
    return sorted(str(child["metadata"]["name"]) for child in children)


def _apply_one(
    gateway: Gateway,
    workspace: Workspace,
    desired: Object,
    *,
    fence: int,
    digest: str,
    always: bool = False,
) -> None:
    """`always`: also where nothing differs, and only onto the version that was read."""
    live = _live(gateway, desired)
    if live is not None and live["metadata"].get("deletionTimestamp"):
        raise Temporary(f"{desired['kind']} of that name is still being deleted.", delay=5)
    if live is not None and desired["kind"] != "Namespace" and not _ours(live):
        raise Refused(f"{desired['kind']} {desired['metadata']['name']} exists and is not ours.")
    _expect(workspace, desired)
    if always or live is None or differs(desired, live):
        wanted = stamp(desired, digest=digest, fence=fence, desired_hash=desired_hash(desired))
        if always and live is not None:
            wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        live = gateway.apply(_with_secret(workspace, wanted), field_manager=field_manager())
    _record(workspace, desired, live)


def _live(gateway: Gateway, desired: Object) -> Object | None:
    """What the cluster holds under that name; None also where we may not look: then applying
    decides, since a field that somebody else owns is a conflict."""
    if desired["kind"] in UNREADABLE:
        return None
    namespace = desired["metadata"].get("namespace", "")
    return gateway.get(kinds.BY_NAME[desired["kind"]], namespace, desired["metadata"]["name"])


def _with_secret(workspace: Workspace, desired: Object) -> Object:
    if desired["kind"] != "Secret":
        return desired
    token = secret_open(team_id=workspace.deployment.team_id)
    if token is None:
        raise Refused("The model is gated and the team has no Hugging Face token.")
    return with_token(desired, token.reveal())


def _expect(workspace: Workspace, desired: Object) -> None:
    """The row goes first: an object that exists without one would be forgotten."""
    meta = desired["metadata"]
    WorkspaceObject.objects.get_or_create(
        workspace=workspace,
        kind=desired["kind"],
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        defaults={"cluster": workspace.cluster, "shared": desired["kind"] in SHARED},
    )


def _record(workspace: Workspace, desired: Object, live: Mapping[str, Any]) -> None:
    meta = desired["metadata"]
    WorkspaceObject.objects.filter(
        workspace=workspace,
        kind=desired["kind"],
        namespace=meta.get("namespace", ""),
        name=meta["name"],
    ).update(uid=live["metadata"].get("uid", ""), gone_at=None)


def same_cluster(workspace: Workspace, gateway: Gateway) -> None:
    """Never write to a cluster that took over the address of the one we know."""
    if kube_system_uid(gateway) != workspace.cluster.uid:
        name = workspace.cluster.name
        raise Temporary(f"{name} answers as another cluster; nothing was changed there.", delay=10)


def _ours(live: Mapping[str, Any]) -> bool:
    labels = live.get("metadata", {}).get("labels") or {}
    return labels.get(f"{OURS}/install") == settings.INSTALL_ID


def _plus(total: float | None, part: float | None) -> float | None:
    return None if total is None or part is None else total + part


def _excerpt(body: bytes) -> str:
    return body[:200].decode(errors="replace")
