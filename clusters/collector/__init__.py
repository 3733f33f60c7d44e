"""The collector: one asyncio process that lists each cluster once and then watches it.

It reads clusters and writes what it saw; it changes nothing on a cluster and decides nothing.
"""
