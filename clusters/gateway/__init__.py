"""The only way to a Kubernetes API server, and the only importer of the `kubernetes` client.

Workers use `gateway_for(connection)`; the collector uses `stream.StreamClient`. Both keep the same
rules: verified TLS, no redirects, no retries, bounded time and bytes, no proxies, typed errors.
"""

from clusters.gateway.client import FIELD_MANAGER, Gateway, ProxyAnswer, gateway_for
from clusters.gateway.connection import Connection
from clusters.gateway.decoding import WatchEvent
from clusters.gateway.kinds import Kind
from clusters.gateway.probe import Probe, kube_system_uid, probe

__all__ = [
    "FIELD_MANAGER",
    "Connection",
    "Gateway",
    "Kind",
    "Probe",
    "ProxyAnswer",
    "WatchEvent",
    "gateway_for",
    "kube_system_uid",
    "probe",
]
