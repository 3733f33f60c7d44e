"""Names of what changed, told to whoever looks: open pages hear of it within moments.

A topic is "<model>:<primary key>" ("cluster:4f...", "rollout:9a...") or one of the lists ("fleet",
"deployments", "rollouts", "approvals", "clusters"). News is a hint like a ring: losing it costs
delay (pages poll), doubling it costs nothing. Content never travels here.
"""

from __future__ import annotations


def changed(*topics: str) -> None:
    """Tell, once the current transaction has committed, that these topics changed. Never raises."""
