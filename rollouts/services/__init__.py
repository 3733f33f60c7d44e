"""Writes of the rollouts app: start, step, control, approvals, strategies."""
