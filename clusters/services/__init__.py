"""Writes of the clusters app: registration, observation, checks, cordon."""
