"""Tables for kubectl: the printer columns of custom kinds, and a few of the built-in ones."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fleetsim.http.messages import Reply, Request, json_reply
from fleetsim.kinds import Kind
from fleetsim.table import Obj, Record

Column = tuple[str, str, Callable[[Obj, datetime], Any]]
_FILTER = re.compile(r"^(?P<list>[^\[]+)\[\?\(@\.(?P<key>\w+)==\"(?P<value>[^\"]*)\"\)\]$")


def wants_table(request: Request) -> bool:
    """Whether the client asked for a Table."""
    return "as=Table" in request.headers.get("accept", "")


def table_reply(kind: Kind, records: list[Record], meta: dict[str, Any], now: datetime) -> Reply:
    """A Table of these objects; each row carries the object's metadata."""
    columns = [_NAME, *_columns(kind)]
    rows = []
    for record in records:
        obj = record.load(kind)
        partial = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": obj["metadata"],
        }
        rows.append({"cells": [read(obj, now) for _, _, read in columns], "object": partial})
    definitions = [
        {
            "name": name,
            "type": form,
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": 0,
        }
        for name, form, _ in columns
    ]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
    return json_reply({**head, "columnDefinitions": definitions, "rows": rows})


def _columns(kind: Kind) -> list[Column]:
    if kind.columns:
        return [_custom(column) for column in kind.columns]
    return _BUILTIN.get(kind.kind, [_AGE])


def _custom(column: dict[str, Any]) -> Column:
    if column["type"] == "date":
        return (column["name"], "date", _age)
    path = column["jsonPath"]
    return (column["name"], column["type"], lambda obj, now: read_path(obj, path))


def read_path(obj: Obj, path: str) -> Any:
    """The value at a printer column's JSONPath: names, and filters such as `[?(@.type=="X")]`."""
    value: Any = obj
    for part in re.split(r"\.(?![^\[]*\])", path.lstrip(".")):
        match = _FILTER.match(part)
        if match:
            items = value.get(match["list"]) or () if isinstance(value, dict) else ()
            value = next((item for item in items if item.get(match["key"]) == match["value"]), None)
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _age(obj: Obj, now: datetime) -> str:
    made = datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
    seconds = max(0, int((now - made).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _pod_ready(obj: Obj, now: datetime) -> str:
    states = obj.get("status", {}).get("containerStatuses") or ()
    total = len(obj.get("spec", {}).get("containers") or ())
    return f"{sum(1 for state in states if state.get('ready'))}/{total}"


def _pod_status(obj: Obj, now: datetime) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for state in obj.get("status", {}).get("containerStatuses") or ():
        reason = (state.get("state", {}).get("waiting") or {}).get("reason")
        if reason:
            return str(reason)
    return str(obj.get("status", {}).get("phase", "Unknown"))


def _node_status(obj: Obj, now: datetime) -> str:
    conditions = obj.get("status", {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    closed = ",SchedulingDisabled" if obj.get("spec", {}).get("unschedulable") else ""
    return ("Ready" if ready else "NotReady") + closed


_NAME: Column = ("Name", "string", lambda obj, now: obj["metadata"]["name"])
_AGE: Column = ("Age", "string", _age)
_BUILTIN: dict[str, list[Column]] = {
    "Pod": [
        ("Ready", "string", _pod_ready),
        ("Status", "string", _pod_status),
        _AGE,
        ("Node", "string", lambda obj, now: obj.get("spec", {}).get("nodeName") or "<none>"),
    ],
    "Node": [
        ("Status", "string", _node_status),
        ("GPUs", "string",
         lambda obj, now: obj.get("status", {}).get("allocatable", {}).get("nvidia.com/gpu", "0")),
        _AGE,
    ],
    "Namespace": [("Status", "string", lambda obj, now: obj.get("status", {}).get("phase")), _AGE],
    "ConfigMap": [("Data", "integer", lambda obj, now: len(obj.get("data") or ())), _AGE],
    "Service": [
        ("Type", "string", lambda obj, now: obj.get("spec", {}).get("type")),
        ("Cluster-IP", "string", lambda obj, now: obj.get("spec", {}).get("clusterIP", "<none>")),
        _AGE,
    ],
}  # fmt: skip
