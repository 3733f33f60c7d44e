"""Reads that need several apps at once: the fleet, what needs a person, who holds GPUs."""
