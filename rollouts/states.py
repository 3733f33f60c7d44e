"""The state machines of rollouts, as tables: words, tones and the allowed moves.

What is not listed here cannot happen: `kit.states.move` refuses it. The words are those of the
API in plain case; docs/states.md is generated from these tables.
"""

from __future__ import annotations

from fleetportal.kit.states import Machine, State
from rollouts.engine.moves import (
    APPROVAL_MOVES,
    GATE_MOVES,
    ROLLOUT_MOVES,
    STAGE_MOVES,
    TARGET_MOVES,
)

ROLLOUT = Machine(
    "rollout",
    {
        "pending": State("Pending", "idle"),
        "running": State("Running", "run"),
        "waiting": State("Waiting", "wait"),
        "paused": State("Paused", "wait"),
        "failed": State("Failed", "bad"),
        "rolling_back": State("Rolling back", "run"),
        "succeeded": State("Succeeded", "ok", terminal=True),
        "aborted": State("Aborted", "idle", terminal=True),
        "rejected": State("Rejected", "bad", terminal=True),
        "rolled_back": State("Rolled back", "idle", terminal=True),
        "rolled_back_partially": State("Rolled back partially", "bad", terminal=True),
        "rollback_blocked": State("Rollback blocked", "bad", terminal=True),
        "aborted_outside": State("Aborted outside", "bad", terminal=True),
    },
    moves=ROLLOUT_MOVES,
)

STAGE = Machine(
    "stage",
    {
        "pending": State("Pending", "idle"),
        "waiting": State("Waiting", "wait"),
        "running": State("Running", "run"),
        "soaking": State("Soaking", "wait"),
        "passed": State("Passed", "ok"),
        "failed": State("Failed", "bad"),
        "skipped": State("Skipped", "idle", terminal=True),
        "aborted": State("Aborted", "idle", terminal=True),
        "rolled_back": State("Rolled back", "idle", terminal=True),
    },
    moves=STAGE_MOVES,
)

TARGET = Machine(
    "target",
    {
        "queued": State("Queued", "idle"),
        "checking": State("Checking", "run"),
        "applying": State("Applying", "run"),
        "starting": State("Starting", "run"),
        "switching": State("Switching", "run"),
        "cluster_away": State("Cluster away", "wait"),
        "conflict": State("Conflict", "bad"),
        "succeeded": State("Succeeded", "ok"),
        "failed": State("Failed", "bad"),
        "rolling_back": State("Rolling back", "run"),
        "rolled_back": State("Rolled back", "idle", terminal=True),
        "skipped": State("Skipped", "idle", terminal=True),
    },
    moves=TARGET_MOVES,
)

GATE = Machine(
    "gate",
    {
        "not_reached": State("Not reached", "idle"),
        "holding": State("Holding", "wait"),
        "no_data": State("No data", "wait"),
        "inconclusive": State("Inconclusive", "wait"),
        "passed": State("Passed", "ok"),
        "failed": State("Failed", "bad"),
        "overridden": State("Overridden", "bad", terminal=True),
    },
    moves=GATE_MOVES,
)

APPROVAL = Machine(
    "approval",
    {
        "waiting": State("Waiting", "wait"),
        "approved": State("Approved", "ok"),
        "rejected": State("Rejected", "bad", terminal=True),
        "expired": State("Expired", "idle", terminal=True),
        "void": State("Void: plan changed", "idle", terminal=True),
        "withdrawn": State("Withdrawn", "idle", terminal=True),
    },
    moves=APPROVAL_MOVES,
)
