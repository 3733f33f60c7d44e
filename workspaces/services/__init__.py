"""Writes of the workspaces app: catalog, plans, claims, delivery of one workspace, secrets."""
