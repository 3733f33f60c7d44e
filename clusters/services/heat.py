"""The heatmap's rows: written when an inventory or a measurement is stored, read as they are."""

from __future__ import annotations

from datetime import datetime

import msgspec
from django.db import transaction

from clusters.engine import heat as engine
from clusters.engine.telemetry.types import GpuSample
from clusters.engine.types import NodeFacts
from clusters.models import Cluster, HeatRow, Telemetry
from clusters.selectors.census import blind
from clusters.selectors.facts import decode_nodes

_samples = msgspec.msgpack.Decoder(tuple[GpuSample, ...])
_COLUMNS = (
    *("layout", "gpus", "at", "util", "memory"),
    *("allocation", "power", "temperature", "idle", "marks"),
)


def heat_store(*, cluster: Cluster, at: datetime) -> None:
    """Make the cluster's cells again from what is stored about it. `at`: idle time counts to here.

    The cluster's row is locked: a measurement and an inventory that are stored at the same moment
    must not overwrite each other with half of the truth.
    """
    with transaction.atomic(savepoint=False):
        fresh = Cluster.objects.select_for_update().only(*_NEEDED).get(pk=cluster.pk)
        measured = (
            Telemetry.objects.filter(cluster=cluster).values_list("gpus_at", "gpus_packed").first()
        )
        gpus_at, packed = measured or (None, b"")
        row = _row(fresh, decode_nodes(fresh.nodes_packed), gpus_at, decode_samples(packed), at)
        HeatRow.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["cluster"], update_fields=_COLUMNS
        )


_NEEDED = ("name", "environment", "region", "provider", "nodes_packed", "capabilities")


def decode_samples(packed: bytes | memoryview) -> tuple[GpuSample, ...]:
    return _samples.decode(packed) if packed else ()


def _row(
    cluster: Cluster,
    nodes: tuple[NodeFacts, ...],
    gpus_at: datetime | None,
    samples: tuple[GpuSample, ...],
    at: datetime,
) -> HeatRow:
    found = engine.heat(nodes, samples, at=at.timestamp(), blind=blind(cluster))
    identity = (cluster.name, cluster.environment, cluster.region, cluster.provider)
    return HeatRow(
        cluster=cluster,
        layout=engine.layout_key(identity, nodes),
        gpus=len(found.marks),
        at=gpus_at,
        util=found.util,
        memory=found.memory,
        allocation=found.allocation,
        power=found.power,
        temperature=found.temperature,
        idle=found.idle,
        marks=found.marks,
    )
