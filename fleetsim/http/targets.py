"""What an API path means: verb, group, version, resource, namespace, name, subresource. Pure."""

from dataclasses import dataclass
from urllib.parse import unquote

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed path. `rest` is what follows a proxy subresource. `plural` is empty for discovery
    paths.
    """

    verb: str
    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    @property
    def resource(self) -> str:
        """`pods`, `workspaces.kaito.sh`, empty for discovery."""
        return f"{self.plural}.{self.group}" if self.group and self.plural else self.plural

    @property
    def full(self) -> str:
        """The resource with its subresource, as rules and faults name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def parse(method: str, path: str, watching: bool) -> Target:
    """The target of a request path below the cluster's prefix."""
    parts = [unquote(part) for part in path.strip("/").split("/") if part]
    if len(parts) >= 2 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 3 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return Target("get")
    if not rest:
        return Target("get", group, version)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    plural, name = rest[0], rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if plural == "namespaces" and not group:
        namespace = name
    tail = "/".join(rest[3:]) + ("/" if path.endswith("/") and len(rest) > 3 else "")
    verb = _verb(method, name, watching)
    return Target(verb, group, version, plural, namespace, name, subresource, tail)


def _verb(method: str, name: str, watching: bool) -> str:
    if method in ("GET", "HEAD") and not name:
        return "watch" if watching else "list"
    if method == "GET" and watching:
        return "watch"
    if method == "DELETE" and not name:
        return "deletecollection"
    return _VERBS.get(method, "get")
