"""What is measured on clusters, in rows that a database can carry: blobs per cluster and per tick.

Nothing here has a row per GPU. How big it gets is said in docs/operations.md.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from clusters.models.clusters import Cluster
from fleetportal.pulse.models import Leased

RESOLUTIONS = (15, 60, 3600)  # seconds of one tick
SPANS = {60: 3600, 3600: 86_400}  # seconds of one tick, and of the ticks that share a row later


class Watch(Leased):
    """Which collector watches a cluster. Its `lease_token` fences everything that is stored."""

    cluster = models.OneToOneField(
        Cluster, primary_key=True, on_delete=models.CASCADE, related_name="watch"
    )

    def __str__(self) -> str:
        return f"watch of {self.cluster_id}"


class Telemetry(models.Model):
    """The last scrape of a cluster, and the counters that the next one is compared with."""

    cluster = models.OneToOneField(
        Cluster, primary_key=True, on_delete=models.CASCADE, related_name="telemetry"
    )
    road = models.CharField(max_length=12, blank=True)  # direct | prometheus: what answered last
    at = models.DateTimeField(null=True, blank=True)  # of the last answer
    problem = models.CharField(
        max_length=300, blank=True
    )  # why there are none; "" when all is well
    gpus_at = models.DateTimeField(null=True, blank=True)
    gpus_packed = models.BinaryField(default=b"")  # tuple[GpuSample, ...]
    serving_packed = models.BinaryField(default=b"")  # tuple[ServingNow, ...]
    counters_packed = models.BinaryField(default=b"")  # dict[pod uid, RuntimeReading]
    minute_packed = models.BinaryField(default=b"")  # GPUs' sums since the minute began
    backfilled_to = models.DateTimeField(null=True, blank=True)  # history is read back to here
    backfill_from = models.DateTimeField(null=True, blank=True)  # where reading back began

    def __str__(self) -> str:
        return f"telemetry of {self.cluster_id}"


class HeatRow(models.Model):
    """A cluster's line of the heatmap: one byte per GPU and metric, ready to be sent.

    Bytes are engine.heat's. `layout` changes when nodes or their cards do: names are read again.
    """

    cluster = models.OneToOneField(
        Cluster, primary_key=True, on_delete=models.CASCADE, related_name="heat"
    )
    layout = models.BigIntegerField(default=0)
    gpus = models.PositiveIntegerField(default=0)
    at = models.DateTimeField(null=True, blank=True)  # of the measurements; None: none yet
    util = models.BinaryField(default=b"")
    memory = models.BinaryField(default=b"")
    allocation = models.BinaryField(default=b"")
    power = models.BinaryField(default=b"")
    temperature = models.BinaryField(default=b"")
    idle = models.BinaryField(default=b"")
    marks = models.BinaryField(default=b"")  # engine.heat: bits, and the allocation again

    def __str__(self) -> str:
        return f"heat of {self.cluster_id}"


class GpuHour(models.Model):
    """One hour of a cluster's GPUs by the minute, and the sums that trends need.

    The sums count GPU-minutes: `gpu` all cards known, `allocated` those held by pods, `measured`
    those with a utilisation, `busy` the utilisation itself (100 % for a minute is 1).
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="gpu_hours")
    hour = models.DateTimeField()
    packed = models.BinaryField(default=b"")  # engine.telemetry.chunks: compressed when closed
    minutes = models.PositiveSmallIntegerField(default=0)  # that have a measurement
    gpu = models.FloatField(default=0)
    allocated = models.FloatField(default=0)
    measured = models.FloatField(default=0)
    busy = models.FloatField(default=0)
    backfilled = models.BooleanField(default=False)  # read from a Prometheus, not seen by us

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "hour"], name="gpu_hour_once"),
        ]
        indexes = [models.Index(fields=["hour"], name="gpu_hour_age")]

    def __str__(self) -> str:
        return f"{self.cluster_id} {self.hour:%Y-%m-%d %H:00}"


class ServingTick(models.Model):
    """What one InferenceSet or Workspace of a cluster did in one span of time, all pods."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="ticks")
    subject = models.CharField(max_length=320)  # namespace/name of the object that we applied
    resolution = models.PositiveSmallIntegerField()  # seconds
    at = models.DateTimeField()  # its start
    packed = models.BinaryField()  # engine.telemetry.types.Tick

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "subject", "resolution", "at"], name="tick_once"
            ),
            models.CheckConstraint(condition=Q(resolution__in=RESOLUTIONS), name="tick_resolution"),
        ]
        indexes = [models.Index(fields=["resolution", "at"], name="tick_age")]

    def __str__(self) -> str:
        return f"{self.subject} {self.at:%H:%M:%S}"


class ServingPack(models.Model):
    """Ticks of one series over a whole span, moved here once it is over: an hour of minutes or a
    day of hours. A tick that is a row as well is newer there (selectors.telemetry.ticks)."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="packs")
    subject = models.CharField(max_length=320)  # as ServingTick has it
    resolution = models.PositiveSmallIntegerField()  # seconds of one tick
    start = models.DateTimeField()  # of the span, a multiple of SPANS[resolution] since 1970
    packed = models.BinaryField()  # engine.telemetry.packing: ticks by place in the span

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "subject", "resolution", "start"], name="pack_once"
            ),
            models.CheckConstraint(
                condition=Q(resolution__in=tuple(SPANS)), name="pack_resolution"
            ),
        ]
        indexes = [models.Index(fields=["resolution", "start"], name="pack_age")]

    def __str__(self) -> str:
        return f"{self.subject} {self.start:%Y-%m-%d %H:%M} by {self.resolution} s"


class InventoryMoment(models.Model):
    """What a cluster held from `at` on, until its next moment: the time machine's ground truth."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="moments")
    at = models.DateTimeField()
    state = models.CharField(max_length=20)
    cordoned = models.BooleanField(default=False)
    packed = models.BinaryField(default=b"")  # zlib of selectors.facts: nodes and pools

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "at"], name="moment_once")]
        indexes = [models.Index(fields=["at"], name="moment_age")]

    def __str__(self) -> str:
        return f"{self.cluster_id} at {self.at:%Y-%m-%d %H:%M:%S}"
