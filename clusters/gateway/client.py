"""Calls to one API server, for workers: get, list, watch, apply, delete, proxy, logs, reviews.

Objects are plain dicts. Nothing is retried here and no database is touched: callers decide, from
the error's family (Temporary or Permanent). Every method may be called from several threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clusters.engine.access import Question
from clusters.engine.raw import mapping, text
from clusters.gateway import kinds
from clusters.gateway.connection import READ_TIMEOUT, Connection
from clusters.gateway.decoding import (
    MOST_PAGES,
    WatchEvent,
    bounded,
    endless,
    event_of,
    json_object,
    lines_of,
    listing_of,
)
from clusters.gateway.errors import Answer, Forbidden, Gone, NotFound, error_from, is_status
from clusters.gateway.kinds import Kind, with_query
from clusters.gateway.transport import Transport

Object = dict[str, Any]

FIELD_MANAGER = "fleetportal"
PAGE_SIZE = 500
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_LIST_DEADLINE = 30.0  # seconds for one page
_LOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ProxyAnswer:
    """What a pod behind a Service answered, whatever its status."""

    status: int
    content_type: str
    body: bytes


class Gateway:
    """One cluster. Errors: clusters.gateway.errors, and kit.net.AddressRefused."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._transport = Transport(connection)

    def close(self) -> None:
        self._transport.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None when it is not there."""
        try:
            return json_object(self.read(kind.object_path(namespace, name)))
        except NotFound:
            return None

    def list_raw(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        selector: str = "",
        field_selector: str = "",
        limit: int = PAGE_SIZE,
    ) -> tuple[list[Object], str]:
        """All objects, read in pages of `limit`, and the resourceVersion to watch from.

        A list that expires between two pages is begun again once.
        """
        path = kind.path(namespace)
        query = {"labelSelector": selector, "fieldSelector": field_selector}
        try:
            return self._pages(path, query, limit)
        except Gone:
            return self._pages(path, query, limit)

    def _pages(self, path: str, query: Mapping[str, str], limit: int) -> tuple[list[Object], str]:
        items: list[Object] = []
        token = ""
        for _ in range(MOST_PAGES):
            answer = self.read(
                with_query(path, limit=limit, **{**query, "continue": token}),
                deadline=_LIST_DEADLINE,
            )
            page = listing_of(answer.body)
            items += page.items
            token = page.next_token
            if not token:
                return items, page.resource_version
            bounded(items)
        raise endless()

    def watch(
        self,
        kind: Kind,
        resource_version: str,
        *,
        namespace: str = "",
        selector: str = "",
        timeout_seconds: int = 290,
        silence: float = 120.0,
    ) -> Iterator[WatchEvent]:
        """Events after `resource_version`, bookmarks among them, until the server ends the watch.

        Raises Gone when the version is too old, Unreachable after `silence` seconds of nothing.
        Close the iterator to end the watch early.
        """
        path = kinds.watch_path(kind, resource_version, namespace, selector, timeout_seconds)
        answer, pieces = self._transport.stream(path, silence=silence)
        if answer.status != 200:
            raise error_from(answer)
        for line in lines_of(pieces):
            yield event_of(self.connection.redact(line))

    def apply(
        self,
        obj: Mapping[str, object],
        *,
        field_manager: str = FIELD_MANAGER,
        dry_run: bool = False,
        force: bool = False,
    ) -> Object:
        """Server-side apply; the object as the server returns it, created (201) or not (200).

        Raises Conflict with the owners of fields that are not ours, Invalid, AdmissionDenied,
        AdmissionUndecided.
        """
        kind = kinds.kind_of(obj.get("apiVersion"), obj.get("kind"))
        metadata = mapping(obj.get("metadata"))
        path = with_query(
            kind.object_path(text(metadata.get("namespace")), text(metadata.get("name"))),
            fieldManager=field_manager,
            force=force,
            dryRun="All" if dry_run else None,
        )
        return json_object(self._send("PATCH", path, dict(obj), _APPLY))

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        propagation: str = "Background",
        dry_run: bool = False,
    ) -> bool:
        """Delete that very object; False when it is not there. Another UID raises Conflict."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": propagation,
            **({"dryRun": ["All"]} if dry_run else {}),
        }
        try:
            self._send("DELETE", kind.object_path(namespace, name), options)
        except NotFound:
            return False
        return True

    def service_proxy(
        self,
        namespace: str,
        service: str,
        port: int | str,
        method: str,
        path: str,
        body: object = None,
        *,
        deadline: float = READ_TIMEOUT,
    ) -> ProxyAnswer:
        """One request to a pod behind a Service, by way of the API server.

        An answer of the API server itself (no Service, no ready endpoint, no permission) raises.
        A model may think for long before its first byte: `deadline` (seconds) is the only limit.
        """
        target = kinds.service_proxy_path(namespace, service, port, path)
        answer = self._transport.request(
            method, target, body=body, deadline=deadline, silence=deadline
        )
        if 300 <= answer.status < 400 or (answer.status >= 400 and is_status(answer.body)):
            raise error_from(answer)
        return ProxyAnswer(answer.status, answer.headers.get("content-type", ""), answer.body)

    def pod_logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        previous: bool = False,
        tail_lines: int = 200,
    ) -> tuple[str, bool]:
        """The last lines of a container's log, at most 1 MiB, and whether those are fewer than
        `tail_lines` for being long; of its run before this one where `previous`. Raises Invalid
        where there is no such run, or none yet.

        A kubelet would cut off the newest, which matter most: then fewer lines are asked for.
        """
        where = f"{kinds.POD.object_path(namespace, pod)}/log"
        lines = tail_lines
        while True:
            path = with_query(
                where,
                container=container,
                previous=previous or None,
                tailLines=lines,
                limitBytes=_LOG_BYTES,
            )
            body = self.read(path).body
            if len(body) < _LOG_BYTES or lines <= 1:
                return body[-_LOG_BYTES:].decode("utf-8", "replace"), lines < tail_lines
            lines //= 8

    def self_access_reviews(
        self, questions: Iterable[Question], *, namespace: str = ""
    ) -> dict[Question, bool]:
        """May we? `namespace` is where team-scoped questions are asked; "" means everywhere.

        A question that the cluster does not answer is left out.
        """
        found: dict[Question, bool] = {}
        for question in questions:
            where = question.namespace or (namespace if question.team_scoped else "")
            try:
                answer = self._send("POST", kinds.ACCESS_REVIEW.path(), _review(question, where))
            except Forbidden:
                return found
            allowed = mapping(json_object(answer).get("status")).get("allowed")
            if isinstance(allowed, bool):
                found[question] = allowed
        return found

    def read(self, path: str, *, deadline: float = READ_TIMEOUT) -> Answer:
        """GET one fixed path; raises for every status but 2xx."""
        return _good(self._transport.request("GET", path, deadline=deadline))

    def _send(
        self, method: str, path: str, body: object, content_type: str = "application/json"
    ) -> Answer:
        answer = self._transport.request(method, path, body=body, content_type=content_type)
        return _good(answer)


def _good(answer: Answer) -> Answer:
    if answer.status >= 300:
        raise error_from(answer)
    return answer


def _review(question: Question, namespace: str) -> Object:
    attributes = {
        "verb": question.verb,
        "group": question.group,
        "resource": question.resource,
        "subresource": question.subresource,
        "namespace": namespace,
        "name": question.name,
    }
    return {
        "apiVersion": kinds.ACCESS_REVIEW.api_version,
        "kind": kinds.ACCESS_REVIEW.name,
        "spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}},
    }


# -- one gateway for each cluster and process ----------------------------------------------------

_gateways: dict[str, Gateway] = {}
_lock = threading.Lock()


def gateway_for(connection: Connection) -> Gateway:
    """The shared gateway of a cluster; a changed connection replaces the older one."""
    with _lock:
        known = _gateways.get(connection.cluster_id)
        if known is not None and known.connection == connection:
            return known
        _gateways[connection.cluster_id] = made = Gateway(connection)
    if known is not None:
        known.close()
    return made


def forget_gateways() -> None:
    """Drop every gateway. Runs in each forked child: TLS sessions cannot be shared."""
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held the old one
    _gateways.clear()


os.register_at_fork(after_in_child=forget_gateways)
