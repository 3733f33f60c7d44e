"""The states of plans, deployments, and workspaces, and which moves are allowed."""

from __future__ import annotations

from fleetportal.kit.states import Machine, State

PLAN = Machine(
    "plan",
    {
        "computing": State("Computing", "run"),
        "ready": State("Ready", "ok"),
        "blocked": State("Blocked", "wait"),
        "expired": State("Expired", "idle", terminal=True),
        "used": State("Started", "idle", terminal=True),
    },
    {
        ("computing", "ready"),
        ("computing", "blocked"),
        ("computing", "expired"),
        ("ready", "expired"),
        ("ready", "used"),
        ("blocked", "expired"),
    },
)

# What a deployment as a whole is meant to be; how it fares is read from its workspaces.
DEPLOYMENT = Machine(
    "deployment",
    {
        "active": State("Active", "ok"),
        "retiring": State("Retiring", "run"),
        "retired": State("Retired", "idle", terminal=True),
    },
    {("active", "retiring"), ("retiring", "retired")},
)

_RUNNING = (
    "applying",
    "getting_nodes",
    "pulling_image",
    "loading_weights",
    "benchmarking",
    "ready",
    "not_ready",
    "stuck",
    "unknown",
)

# Observation moves a workspace freely among the running states: the cluster decides, we report.
WORKSPACE = Machine(
    "workspace",
    {
        "planned": State("Planned", "idle"),
        "applying": State("Applying", "run"),
        "getting_nodes": State("Getting nodes", "run"),
        "pulling_image": State("Pulling image", "run"),
        "loading_weights": State("Loading weights", "run"),
        "benchmarking": State("Benchmarking", "run"),
        "ready": State("Ready", "ok"),
        "not_ready": State("Not ready", "bad"),
        "stuck": State("Stuck", "bad"),
        "unknown": State("Unknown", "unknown"),
        "retiring": State("Retiring", "run"),
        "retired": State("Retired", "idle", terminal=True),
    },
    {
        ("planned", "applying"),
        ("planned", "retired"),
        *((a, b) for a in _RUNNING for b in _RUNNING if a != b and b != "applying"),
        *((a, "retiring") for a in ("planned", *_RUNNING)),
        ("retiring", "retired"),
    },
)

# The order in which a start-up passes through its phases, for pages.
PHASES = ("getting_nodes", "pulling_image", "loading_weights", "benchmarking", "ready")
