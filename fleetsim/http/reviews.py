"""What a token may do: the check before every request, access reviews, and tokens of service
accounts.
"""

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fleetsim import errors
from fleetsim.access import ADMIN, User, qualified
from fleetsim.errors import ApiError
from fleetsim.http.messages import Reply, Request, json_reply
from fleetsim.http.state import Sim
from fleetsim.http.targets import Target
from fleetsim.store import ClusterStore


def mint(secret: bytes, *parts: str) -> str:
    """A token for these words: the same for the same state directory, unguessable without it."""
    return hmac.new(secret, "/".join(parts).encode(), hashlib.sha256).hexdigest()


def authenticate(sim: Sim, cluster: ClusterStore | None, request: Request) -> User:
    """The user behind the bearer token. Raises ApiError 401."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        if hmac.compare_digest(token.strip().encode(), sim.admin_token.encode()):
            return ADMIN
        user = cluster.users.get(token.strip()) if cluster else None
        if user and (user.expires is None or user.expires > sim.fleet.clock.now()):
            return user
    raise ApiError(401, "Unauthorized")


def authorise(user: User, target: Target) -> None:
    """Raise ApiError 403 in Kubernetes' words unless a rule allows the target."""
    if user.can(target.verb, target.full, target.namespace, target.name):
        return
    scope = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    resource = target.plural + (f"/{target.subresource}" if target.subresource else "")
    why = (
        f'User "{user.name}" cannot {target.verb} resource "{resource}" '
        f'in API group "{target.group}" {scope}'
    )
    raise errors.forbidden(target.group, target.plural, target.name, why)


def review(cluster: ClusterStore, user: User, plural: str, request: Request) -> Reply:
    """Answer a self subject review."""
    body = request.parse()
    doc: dict[str, Any] = body if isinstance(body, dict) else {}
    spec = doc.get("spec") or {}
    if plural == "selfsubjectaccessreviews":
        doc["status"] = _access(user, spec)
    elif plural == "selfsubjectrulesreviews":
        doc["status"] = _rules(user, spec.get("namespace", ""))
    else:
        info = {"username": user.name, "groups": list(user.groups)}
        doc["status"] = {"userInfo": info}
    return json_reply(doc, 201)


def _access(user: User, spec: dict[str, Any]) -> dict[str, Any]:
    wanted = spec.get("resourceAttributes")
    if not wanted:
        return {
            "allowed": user is ADMIN or spec.get("nonResourceAttributes", {}).get("verb") == "get"
        }
    resource = qualified(
        wanted.get("group", ""), wanted.get("resource", ""), wanted.get("subresource", "")
    )
    allowed = user.can(
        wanted.get("verb", ""), resource, wanted.get("namespace", ""), wanted.get("name", "")
    )
    return (
        {"allowed": allowed}
        if not allowed
        else {"allowed": True, "reason": "RBAC: allowed by rule"}
    )


def _rules(user: User, namespace: str) -> dict[str, Any]:
    rows = []
    for rule in user.rules:
        if "*" not in rule.namespaces and namespace not in rule.namespaces:
            continue
        for resource in rule.resources:
            head, _, group = resource.partition(".")
            group, _, sub = group.partition("/")
            row: dict[str, Any] = {
                "verbs": list(rule.verbs),
                "apiGroups": ["*"] if resource == "*" else [group],
                "resources": [f"{head}/{sub}" if sub else head],
            }
            if rule.names:
                row["resourceNames"] = list(rule.names)
            rows.append(row)
    return {"resourceRules": rows, "nonResourceRules": [], "incomplete": False}


def token_request(sim: Sim, cluster: ClusterStore, target: Target, request: Request) -> Reply:
    """POST serviceaccounts/NAME/token: a new token of that service account, with an end. Raises
    ApiError 404.
    """
    name = f"system:serviceaccount:{target.namespace}:{target.name}"
    known = next((user for user in cluster.users.values() if user.name == name), None)
    if known is None:
        raise errors.not_found("", "serviceaccounts", target.name)
    body = request.parse() or {}
    seconds = int((body.get("spec") or {}).get("expirationSeconds") or 3600)
    expires = sim.fleet.clock.now() + timedelta(seconds=seconds)
    token = mint(sim.secret, cluster.name, name, expires.isoformat(), str(len(cluster.users)))
    cluster.users[token] = replace(known, expires=expires)
    stamp = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    doc = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
           "spec": body.get("spec") or {},
           "status": {"token": token, "expirationTimestamp": stamp}}  # fmt: skip
    return json_reply(doc, 201)
