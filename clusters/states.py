"""The states of a cluster and of a check, and which moves are allowed."""

from __future__ import annotations

from fleetportal.kit.states import Machine, State

_LIVE = ("ready", "degraded", "unreachable", "credentials_refused", "different_cluster")

CLUSTER = Machine(
    "cluster",
    {
        "joining": State("Joining", "run"),
        "ready": State("Ready", "ok"),
        "degraded": State("Degraded", "wait"),
        "unreachable": State("Unreachable", "bad"),
        "credentials_refused": State("Credentials refused", "bad"),
        "different_cluster": State("Different cluster", "bad"),
        "draining": State("Draining", "run"),
        "retired": State("Retired", "idle", terminal=True),
    },
    {
        *((a, b) for a in ("joining", *_LIVE) for b in _LIVE if a != b),
        *((a, "draining") for a in ("joining", *_LIVE)),
        *((a, "retired") for a in ("joining", "draining", *_LIVE)),
    },
)

CHECK = Machine(
    "check",
    {
        "pending": State("Pending", "idle"),
        "running": State("Running", "run"),
        "done": State("Done", "ok", terminal=True),
        "failed": State("Failed", "bad", terminal=True),
    },
    {
        ("pending", "running"),
        ("pending", "failed"),
        ("running", "pending"),
        ("running", "done"),
        ("running", "failed"),
    },
)
