"""A strict reader of pasted kubeconfig files.

A kubeconfig is a program for kubectl: it can run commands, read files and talk through proxies. So
only inline data of one context is taken, and everything else is refused by its name. The YAML is
read as events: anchors, aliases, tags, merge keys, duplicate keys, second documents and oversized
trees never become objects. Any input gives a ClusterCredential or a CredentialError, nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping

import yaml

from clusters.engine.credential import (
    MAX_BYTES,
    ClusterCredential,
    CredentialError,
    Problem,
    parse_fields,
)

__all__ = ["ClusterCredential", "CredentialError", "Problem", "parse_fields", "parse_kubeconfig"]

_MAX_DEPTH = 32
_MAX_NODES = 5_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Tree = dict[str, "Tree"] | list["Tree"] | str | bool | None

_INLINE = "Run `kubectl config view --raw --flatten --minify` and paste its output."
_OWN_ACCOUNT = "Use a token of a ServiceAccount made for the portal."
_REFUSED = {
    "exec": ("Commands are never run.", _OWN_ACCOUNT),
    "auth-provider": ("Auth providers are never run.", _OWN_ACCOUNT),
    "tokenFile": ("Files of this machine are never read.", "Give `token` inline."),
    "client-certificate": ("Files of this machine are never read.", _INLINE),
    "client-key": ("Files of this machine are never read.", _INLINE),
    "certificate-authority": ("Files of this machine are never read.", _INLINE),
    "proxy-url": ("Proxies are not used.", "Give an address that is reached directly."),
    "insecure-skip-tls-verify": (
        "TLS is always verified.",
        "Remove it and give certificate-authority-data.",
    ),
    "username": ("Passwords are not accepted.", _OWN_ACCOUNT),
    "password": ("Passwords are not accepted.", _OWN_ACCOUNT),
    "as": ("Impersonation is not accepted.", _OWN_ACCOUNT),
    "as-uid": ("Impersonation is not accepted.", _OWN_ACCOUNT),
    "as-groups": ("Impersonation is not accepted.", _OWN_ACCOUNT),
    "as-user-extra": ("Impersonation is not accepted.", _OWN_ACCOUNT),
}
_TOP_KEYS = frozenset(
    {
        "apiVersion",
        "kind",
        "preferences",
        "clusters",
        "users",
        "contexts",
        "current-context",
        "extensions",
    }
)
_CLUSTER_KEYS = frozenset(
    {
        "server",
        "certificate-authority-data",
        "tls-server-name",
        "disable-compression",
        "extensions",
    }
)
_USER_KEYS = frozenset({"token", "client-certificate-data", "client-key-data", "extensions"})
_CONTEXT_KEYS = frozenset({"cluster", "user", "namespace", "extensions"})


def parse_kubeconfig(text: bytes, *, context: str | None = None) -> ClusterCredential:
    """The credential of one context: the named one, else `current-context`, else the only one.

    Raises CredentialError that names each refused or missing field.
    """
    config = _read_mapping(text)
    _refuse_unknown(config, _TOP_KEYS, "")
    name = _context_name(config, context)
    chosen = _entry(config, "contexts", name, "context")
    _refuse_unknown(chosen, _CONTEXT_KEYS, f"contexts[{_shown(name)}].context.")
    cluster_name, user_name = _text(chosen, "cluster"), _text(chosen, "user")
    cluster = _entry(config, "clusters", cluster_name, "cluster")
    user = _entry(config, "users", user_name, "user")
    of_cluster = f"clusters[{_shown(cluster_name)}].cluster."
    of_user = f"users[{_shown(user_name)}].user."
    problems = [*_unknown(cluster, _CLUSTER_KEYS, of_cluster), *_unknown(user, _USER_KEYS, of_user)]
    if problems:
        raise CredentialError(problems)
    sent = {
        "server": f"{of_cluster}server",
        "ca": f"{of_cluster}certificate-authority-data",
        "tls_server_name": f"{of_cluster}tls-server-name",
        "token": f"{of_user}token",
        "client_cert": f"{of_user}client-certificate-data",
        "client_key": f"{of_user}client-key-data",
    }
    return parse_fields(
        _text(cluster, "server"),
        _decoded(cluster, "certificate-authority-data", sent["ca"]),
        _text(user, "token"),
        client_cert_pem=_decoded(user, "client-certificate-data", sent["client_cert"]),
        client_key_pem=_decoded(user, "client-key-data", sent["client_key"]),
        tls_server_name=_text(cluster, "tls-server-name"),
        names=sent.__getitem__,
    )


def _wrong(message: str, remedy: str, field: str = "kubeconfig") -> CredentialError:
    return CredentialError(Problem(field, message, remedy))


def _shown(name: str) -> str:
    kept = "".join(c for c in name if c.isprintable())
    return kept if len(kept) <= 63 else f"{kept[:60]}..."


# -- the tree ------------------------------------------------------------------------------------


def _read_mapping(data: bytes) -> dict[str, Tree]:
    if len(data) > MAX_BYTES:
        raise _wrong("It is larger than 256 KiB.", "Paste one context only.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong("It is not UTF-8 text.", _INLINE) from error
    try:
        tree = _Reader(text).read()
    except yaml.YAMLError as error:
        raise _wrong(f"It is not valid YAML{_where(error)}.", _INLINE) from error
    except (ValueError, StopIteration, RecursionError, MemoryError) as error:
        raise _wrong("It cannot be read as YAML.", _INLINE) from error
    if not isinstance(tree, dict):
        raise _wrong("It is not a kubeconfig.", "It starts with `apiVersion: v1`.")
    return tree


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1})" if mark is not None else ""


class _Reader:
    """Builds text, lists and maps from YAML events and counts as it goes."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._nodes = 0

    def read(self) -> Tree:
        tree: Tree = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1 or event.tags:
                    raise self._refuse(event, "a second document or a tag directive")
            elif isinstance(event, yaml.NodeEvent):
                tree = self._node(event, depth=1)
        return tree

    def _node(self, event: yaml.Event, depth: int) -> Tree:
        self._check(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(depth)
        return self._map(depth)

    def _list(self, depth: int) -> list[Tree]:
        items: list[Tree] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _map(self, depth: int) -> dict[str, Tree]:
        found: dict[str, Tree] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._check(event, depth + 1)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refuse(event, "a key that is not text")
            if event.value in found or event.value == "<<":
                raise self._refuse(event, "a duplicate or merge key")
            found[event.value] = self._node(next(self._events), depth + 1)
        return found

    def _check(self, event: yaml.Event, depth: int) -> None:
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise self._refuse(event, "more or deeper entries than any kubeconfig has")
        if getattr(event, "anchor", None) is not None:  # an alias has one too
            raise self._refuse(event, "an anchor or an alias")
        if getattr(event, "tag", None) is not None:
            raise self._refuse(event, "a tag")
        if isinstance(event, yaml.ScalarEvent) and any(
            c == "\0" or "\ud800" <= c <= "\udfff" for c in event.value
        ):
            raise self._refuse(event, "a character that is not text")

    @staticmethod
    def _refuse(event: yaml.Event, what: str) -> CredentialError:
        line = f" (line {event.start_mark.line + 1})" if event.start_mark else ""
        return _wrong(f"It holds {what}{line}.", _INLINE)


def _scalar(event: yaml.ScalarEvent) -> str | bool | None:
    plain = event.style is None or event.style == ""
    if plain and event.value in ("", "~", "null", "Null", "NULL"):
        return None
    if plain and event.value in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return event.value.lower() == "true"
    return str(event.value)


# -- the kubeconfig ------------------------------------------------------------------------------


def _context_name(config: Mapping[str, Tree], wanted: str | None) -> str:
    names = [name for name, _ in _named(config, "contexts")]
    name = wanted or _text(config, "current-context")
    if not name and len(names) == 1:
        return names[0]
    if not name or name not in names:
        known = ", ".join(_shown(n) for n in names[:10]) or "none"
        message = f"No context named {_shown(name)!r}." if name else "No context is chosen."
        raise _wrong(message, f"Known ones: {known}.", "context")
    return name


def _named(config: Mapping[str, Tree], group: str) -> Iterator[tuple[str, dict[str, Tree]]]:
    entries = config.get(group)
    if not isinstance(entries, list):
        raise _wrong(f"`{group}` is missing or is not a list.", _INLINE, group)
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise _wrong("An entry has no name.", _INLINE, group)
        yield str(entry["name"]), entry


def _entry(config: Mapping[str, Tree], group: str, name: str, key: str) -> dict[str, Tree]:
    found = [entry for known, entry in _named(config, group) if known == name]
    where = f"{group}[{_shown(name)}]"
    if len(found) != 1:
        problem = "is there more than once" if found else "is missing"
        raise _wrong(f"The entry {problem}.", _INLINE, where)
    _refuse_unknown(found[0], frozenset({"name", key}), f"{where}.")
    inner = found[0].get(key)
    if not isinstance(inner, dict):
        raise _wrong("It is empty.", _INLINE, f"{where}.{key}")
    return inner


def _refuse_unknown(found: Mapping[str, Tree], allowed: frozenset[str], where: str) -> None:
    problems = list(_unknown(found, allowed, where))
    if problems:
        raise CredentialError(problems)


def _unknown(found: Mapping[str, Tree], allowed: frozenset[str], where: str) -> Iterator[Problem]:
    for key, value in found.items():
        if key in allowed or value is None:
            continue
        if key == "insecure-skip-tls-verify" and value is False:
            continue
        message, remedy = _REFUSED.get(key, ("This key is not known.", "Remove it."))
        yield Problem(f"{where}{_shown(key)}", message, remedy)


def _text(found: Mapping[str, Tree], key: str) -> str:
    value = found.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong("It is not text.", "Put it in quotes.", key)
    return value


def _decoded(found: Mapping[str, Tree], key: str, where: str) -> str:
    try:
        return base64.b64decode("".join(_text(found, key).split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise _wrong("It is not base64 of PEM text.", _INLINE, where) from error
