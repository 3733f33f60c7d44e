"""KAITO's validating webhook as a live actor: it judges writes by the cluster's present state.

Workspaces on CREATE and UPDATE; InferenceSets also on /status, with no exemption for deletion, and
always with the checks of creating a child. Answers have KAITO's form.
"""

from __future__ import annotations

from fleetsim.actors import inferenceset, naming, vet, vet_nodes
from fleetsim.actors.member import Member
from fleetsim.actors.objects import Obj, labels, meta
from fleetsim.store import ApiError, ClusterStore, Operation

_HOOKS = {
    "Workspace": "validation.workspace.kaito.sh",
    "InferenceSet": "validation.inferenceset.kaito.sh",
}
EXCLUDE = "webhooks.knative.dev/exclude"
_SERVED = {"Workspace": ("",), "InferenceSet": ("", "status")}
_URL = "https://kaito-workspace.kaito-workspace.svc:9443/{path}?timeout=10s"


class Webhook:
    """The admission hook of one cluster."""

    def __init__(self, member: Member) -> None:
        self.member = member

    def __call__(
        self,
        store: ClusterStore,
        operation: Operation,
        old: Obj | None,
        new: Obj | None,
        subresource: str,
    ) -> None:
        """Raise ApiError 400 with KAITO's message, or 500 while the webhook does not answer."""
        if new is None or new["kind"] not in _HOOKS or subresource not in _SERVED[new["kind"]]:
            return
        if new["kind"] == "InferenceSet" and not self.member.spec.inference_sets:
            return
        hook = _HOOKS[new["kind"]]
        if _excluded(store, new):
            return
        if self.member.spec.webhook_down:
            raise ApiError(500, _unreachable(hook))
        errors = self._errors(old, new)
        if errors:
            text = "\n".join(errors)
            told = f'admission webhook "{hook}" denied the request: validation failed: {text}'
            raise ApiError(400, told)

    def _errors(self, old: Obj | None, new: Obj) -> list[str]:
        if new["kind"] == "InferenceSet":
            return set_errors(self.member, old, new)
        if old is None:
            return create_errors(self.member, new)
        return update_errors(self.member, old, new)


def _excluded(store: ClusterStore, obj: Obj) -> bool:
    """An operator's way out: a labelled namespace is not judged at all."""
    namespace = store.get("Namespace", None, meta(obj).get("namespace", ""))
    return namespace is not None and EXCLUDE in labels(namespace)


def _unreachable(hook: str) -> str:
    url = _URL.format(path=hook.split(".")[1])
    return (
        f'Internal error occurred: failed calling webhook "{hook}": failed to call webhook: '
        f'Post "{url}": dial tcp 10.0.12.7:9443: connect: connection refused'
    )


def create_errors(m: Member, workspace: Obj) -> list[str]:
    """All complaints about a new Workspace, as `message: field path`."""
    return [
        *vet.name(meta(workspace)),
        *vet.shape(workspace),
        *vet.resource(m, workspace),
        *vet.inference(workspace),
        *vet.notes(workspace),
        *vet.config(m, workspace),
        *vet_nodes.check(m, workspace),
    ]


def update_errors(m: Member, old: Obj, new: Obj) -> list[str]:
    """What may not change on a Workspace; a changed config is looked up again."""
    errors = vet.frozen(m, old, new)
    if naming.config_name(old) != naming.config_name(new):
        errors += vet.config(m, new)
    return errors


def set_errors(m: Member, old: Obj | None, new: Obj) -> list[str]:
    """InferenceSet's own rules, then those of the child it would make."""
    errors = vet.name(meta(new))
    if old is not None and _partition(old) != _partition(new):
        errors.append("field is immutable: spec.template.resource.partition")
    child = inferenceset.child_of(new)
    child["metadata"]["name"] = meta(new)["name"]
    return errors + create_errors(m, child)


def _partition(whole: Obj) -> Obj:
    resource = whole["spec"]["template"].get("resource") or {}
    found: Obj = resource.get("partition") or {}
    return found
