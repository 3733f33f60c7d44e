"""Lists: selectors, resourceVersion semantics and paging. Bodies are joins of stored bytes."""

import base64
import binascii

import orjson

from fleetsim.errors import ApiError
from fleetsim.http.messages import Reply, Request
from fleetsim.http.tables import table_reply, wants_table
from fleetsim.http.targets import Target
from fleetsim.kinds import Kind
from fleetsim.selectors import Requirement, label_matcher, parse_fields
from fleetsim.store import ClusterStore
from fleetsim.table import Key, Record, Table

Filter = list[Requirement]


class Selection:
    """The label and field selectors of a request. Raises ApiError 400 for bad ones."""

    def __init__(self, kind: Kind, target: Target, request: Request) -> None:
        labels = request.query.get("labelSelector", "")
        fields = request.query.get("fieldSelector", "")
        known = ("metadata.name", "metadata.namespace", *kind.fields)
        self.namespace = target.namespace if kind.namespaced else ""
        self._labels = label_matcher(labels)
        self._fields = parse_fields(fields, known)
        if target.name:
            self._fields.append(Requirement("metadata.name", "in", frozenset({target.name})))
        self.given = bool(labels or fields)

    def takes(self, record: Record) -> bool:
        """Whether the record is selected."""
        if self.namespace and record.namespace != self.namespace:
            return False
        if not self._labels(record.labels):
            return False
        if not self._fields:
            return True
        fields = record.fields | {
            "metadata.name": record.name,
            "metadata.namespace": record.namespace,
        }
        return all(requirement.holds(fields) for requirement in self._fields)


def version_of(request: Request) -> int | None:
    """The resourceVersion parameter, None when absent. Raises ApiError 400."""
    text = request.query.get("resourceVersion", "")
    if not text:
        return None
    if not text.isdigit():
        raise ApiError(
            400, f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: invalid syntax'
        )
    return int(text)


def _check_version(cluster: ClusterStore, table: Table, request: Request) -> None:
    wanted = version_of(request)
    if wanted is not None and wanted > cluster.rv:
        text = f"Too large resource version: {wanted}, current: {cluster.rv}"
        details = {
            "causes": [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ],
            "retryAfterSeconds": 1,
        }
        raise ApiError(504, text, "Timeout", details, {"Retry-After": "1"})
    exact = request.query.get("resourceVersionMatch") == "Exact"
    if exact and wanted is not None and wanted < table.dropped:
        raise ApiError(410, f"The resourceVersion for the provided list is too old: {wanted}")


def _continue_token(rv: int, last: Record) -> str:
    token = orjson.dumps({"v": "meta.k8s.io/v1", "rv": rv, "start": [last.namespace, last.name]})
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def _read_token(text: str, table: Table) -> tuple[int, Key]:
    """(rv of the first page, key after which to go on). Raises ApiError 400, 410."""
    try:
        token = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        rv, start = int(token["rv"]), token["start"]
        found = (rv, (str(start[0]), str(start[1])))
    except (binascii.Error, ValueError, KeyError, TypeError, IndexError) as error:
        raise ApiError(400, "continue key is not valid: illegal continue token") from error
    if found[0] < table.dropped:
        text = (
            "The provided continue parameter is too old to display a consistent list result. "
            "You must start a new list without the continue parameter."
        )
        raise ApiError(410, text)
    return found


def deciding_records(
    cluster: ClusterStore, kind: Kind, target: Target, request: Request
) -> list[Record]:
    """Every selected record, in list order."""
    selection = Selection(kind, target, request)
    rows = cluster.table(kind.kind).rows(selection.namespace)
    if not selection.given:
        return rows
    return [record for record in rows if selection.takes(record)]


def list_reply(cluster: ClusterStore, kind: Kind, target: Target, request: Request) -> Reply:
    """A List, or one page of it."""
    table = cluster.table(kind.kind)
    _check_version(cluster, table, request)
    records = deciding_records(cluster, kind, target, request)
    rv, limit = cluster.rv, int(request.number("limit", 0))
    if token := request.query.get("continue"):
        rv, start = _read_token(token, table)
        records = [record for record in records if (record.namespace, record.name) > start]
    meta: dict[str, object] = {"resourceVersion": str(rv)}
    if limit and len(records) > limit:
        page = records[:limit]
        meta["continue"] = _continue_token(rv, page[-1])
        if not Selection(kind, target, request).given:
            meta["remainingItemCount"] = len(records) - limit
        records = page
    if wants_table(request):
        return table_reply(kind, records, meta, cluster.fleet.clock.now())
    return Reply(200, _list_body(kind, meta, records))


def _list_body(kind: Kind, meta: dict[str, object], records: list[Record]) -> bytes:
    head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta}
    if kind.custom:
        items = b",".join(record.full(kind) for record in records)
    else:
        # Items of built-in lists carry no kind and apiVersion.
        items = b",".join(record.raw for record in records)
    return orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}"


__all__ = ["Selection", "deciding_records", "list_reply", "version_of"]
