"""Metrics of clusters: the only place that asks for them, by either road, and that stores them."""
