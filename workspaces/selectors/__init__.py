"""Reads of the workspaces app: what its pages and its API show."""
