"""The heatmap as it is sent: cells as bytes, and what they are called.

Cells change every few seconds and are read without model instances; names change when nodes come
and go and may be kept for good under their version. Both list the same clusters in the same order.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any

import msgspec
from django.db import connection
from django.db.models import Case, Field, Q, When

from clusters.engine import heat as engine
from clusters.engine.types import NodeFacts, PoolFacts
from clusters.models import Cluster
from clusters.querysets import ClusterQuerySet
from clusters.selectors.census import SILENT, class_of
from clusters.selectors.facts import decode_nodes, decode_pools
from clusters.selectors.grid import model_words
from clusters.selectors.seconds import Seconds
from fleetportal.accounts.principal import Principal

HEADER = Struct("<4sBBHIIQ")  # magic, format, metric, 0, clusters, cells, layout
MAGIC, FORMAT = b"HEAT", 1
SEEN, AWAY, NEVER = 0, 1, 2  # of a cluster's byte; CLOSED: nothing new may be put there
CLOSED = 16

_TO_BLOCKED = bytes(
    engine.BLOCKED if byte == engine.FREE else byte for byte in range(256)
)  # cells of `allocation` on a cluster that takes nothing new
_MARKS_BLOCKED = bytes(
    byte | engine.BLOCKED << 4 if byte >> 4 == engine.FREE else byte for byte in range(256)
)
_MARKS_UNKNOWN = bytes(byte | 0xF0 for byte in range(256))


@dataclass(frozen=True, slots=True)
class Cells:
    """What `GET fleet/heat/cells` answers, and its ETag."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Layout:
    """JSON of names; `version` as the cells carry it, in hexadecimal."""

    body: bytes
    version: str


def rows_for(principal: Principal, cluster: str = "") -> ClusterQuerySet:
    """Clusters of the heatmap in their order: those the principal may see, or the one named."""
    rows: ClusterQuerySet = Cluster.objects.visible_to(principal).managed()
    return (rows.filter(name=cluster) if cluster else rows).order_by("name")


def value(metric: str, byte: int) -> float | None:
    """What a byte says; None: unknown, or no number (the allocation)."""
    return None if metric == "allocation" else engine.value_of(metric, byte)


def glance(principal: Principal, cluster: str = "") -> tuple[bool, str]:
    """(whether anything is measured, the version of the names): what a page needs in advance."""
    rows = rows_for(principal, cluster).annotate(moment=Seconds("heat__at"))
    found = list(rows.values_list("moment", "heat__layout"))
    return any(moment for moment, _ in found), f"{_version(key for _, key in found):016x}"


def cells(principal: Principal, metric: str, cluster: str = "") -> Cells:
    """One metric of every visible card. Times are unix seconds: of the measurement, or for the
    allocation of the inventory; 0: never."""
    with connection.cursor() as cursor:
        cursor.execute(*_statement(principal, metric, cluster))
        rows = cursor.fetchall()
    body = _packed(engine.METRICS.index(metric), rows)
    return Cells(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')


_statements: dict[tuple[str, str], tuple[str, Any]] = {}
MOST_STATEMENTS = 512


def _statement(principal: Principal, metric: str, cluster: str) -> tuple[str, Any]:
    """SQL and its parameters. For the whole fleet making it takes half as long as running it, and
    it is the same for all who may see the same clusters."""
    if cluster:
        return _made(principal, metric, cluster)
    key = (principal.permission_class, metric)
    if key not in _statements:
        if len(_statements) >= MOST_STATEMENTS:
            _statements.clear()
        _statements[key] = _made(principal, metric, "")
    return _statements[key]


def _made(principal: Principal, metric: str, cluster: str) -> tuple[str, Any]:
    moment = "observed_at" if metric == "allocation" else "heat__at"
    columns = ("kind", "moment", "heat__layout", f"heat__{metric}", "heat__marks")
    rows = rows_for(principal, cluster).annotate(kind=_KIND, moment=Seconds(moment))
    found: tuple[str, Any] = rows.values_list(*columns).query.sql_with_params()
    return found


# The database makes numbers of states and moments: rows then need no conversion.
_KIND = Case(
    When(state__in=sorted(SILENT), then=AWAY),
    When(Q(cordoned=True) | Q(state="draining"), then=CLOSED),
    default=SEEN,
    output_field=Field(),
)


def _packed(metric: int, rows: Sequence[tuple[Any, ...]]) -> bytes:
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * 5
    kinds, values = bytearray(columns[0]), list(columns[3])
    marks = [mark if mark is not None else b"" for mark in columns[4]]
    for place in (place for place, kind in enumerate(kinds) if kind or columns[4][place] is None):
        kinds[place] |= NEVER if columns[4][place] is None else 0
        shown = _shown(kinds[place], metric, values[place] or b"", marks[place])
        values[place], marks[place] = shown
    body = b"".join(values)
    head = HEADER.pack(MAGIC, FORMAT, metric, 0, len(rows), len(body), _version(columns[2]))
    moments, counts = _words(moment or 0 for moment in columns[1]), _words(map(len, marks))
    return b"".join((head, moments, counts, kinds, body, *marks))


def _words(values: Iterable[int]) -> bytes:
    """Unsigned 32 bits each, little-endian."""
    found = array("I", values)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def _shown(kind: int, metric: int, value: bytes, mark: bytes) -> tuple[bytes, bytes]:
    """What a silent cluster held last is unknown; what is free on a closed one is blocked."""
    if kind & AWAY:
        return b"\xff" * len(value), bytes(mark).translate(_MARKS_UNKNOWN)
    if not kind & CLOSED:
        return value, mark
    categorical = engine.METRICS[metric] == "allocation"
    blocked = bytes(value).translate(_TO_BLOCKED) if categorical else value
    return blocked, bytes(mark).translate(_MARKS_BLOCKED)


def _version(layouts: Iterable[int | None]) -> int:
    """64 bits over the layouts of the clusters in their order."""
    known = array("q", [layout or 0 for layout in layouts])
    return int.from_bytes(hashlib.blake2b(known.tobytes(), digest_size=8).digest(), "big")


def layout(principal: Principal, cluster: str = "") -> Layout:
    """`{version, clusters: [[name, environment, region, provider, nodes]]}`; a node is
    `[name, cards, GPU model]`."""
    rows = rows_for(principal, cluster).values_list(
        "name", "environment", "region", "provider", "heat__layout", "pk"
    )
    found = list(rows)
    version = f"{_version(row[4] for row in found):016x}"
    parts = _node_lists({row[4]: row[5] for row in found if row[4]})
    lines = (
        b"[%s,%s]" % (_json(row[:4])[1:-1], parts[row[4]][0] if row[4] in parts else b"[]")
        for row in found
    )
    return Layout(
        b'{"version":"%s","clusters":[%s]}' % (version.encode(), b",".join(lines)), version
    )


_json = msgspec.json.Encoder().encode
_kept: dict[int, tuple[bytes, int]] = {}  # layout -> its nodes as JSON, and how many they are
MOST_KEPT = 8192


def _node_lists(wanted: dict[int, Any]) -> dict[int, tuple[bytes, int]]:
    """Nodes of each layout; those that this process has met before are not read again."""
    missing = [pk for key, pk in wanted.items() if key not in _kept]
    if len(_kept) + len(missing) > MOST_KEPT:
        _kept.clear()
        missing = list(wanted.values())
    for start in range(0, len(missing), 500):
        rows = Cluster.objects.filter(pk__in=missing[start : start + 500])
        for key, nodes, pools in rows.values_list("heat__layout", "nodes_packed", "pools_packed"):
            found = _nodes(decode_nodes(nodes), decode_pools(pools))
            _kept[key] = (_json(found), len(found))
    return _kept


def _nodes(nodes: Iterable[NodeFacts], pools: Iterable[PoolFacts]) -> list[tuple[str, int, str]]:
    models = {pool.key: model_words(class_of(pool)) for pool in pools}
    return [
        (node.name, engine.cards_of(node), models.get(node.pool) or model_words(node.gpu_model))
        for node in nodes
    ]


def node_counts(principal: Principal, cluster: str = "") -> list[tuple[Any, int]]:
    """(primary key, nodes) of each cluster of the heatmap, in its order."""
    rows = list(rows_for(principal, cluster).values_list("pk", "heat__layout"))
    lists = _node_lists({key: pk for pk, key in rows if key})
    return [(pk, lists[key][1] if key in lists else 0) for pk, key in rows]
