"""Reads of rollouts and approvals for pages, the API and the frame of every page."""

from __future__ import annotations

from rollouts.selectors.approvals import approvals_to_decide

__all__ = ["approvals_to_decide"]
