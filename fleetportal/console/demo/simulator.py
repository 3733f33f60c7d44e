"""The simulated fleet's own control, as the demo uses it: what an operator of the world may do.

Only the demo's story talks to it. The portal itself sees these clusters as it sees any other.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT = 10.0  # seconds


class Simulator:
    """`folder` is where the fleet wrote `ready.json`: its address, certificate and admin token."""

    def __init__(self, folder: Path) -> None:
        ready = json.loads((folder / "ready.json").read_text(encoding="utf-8"))
        self._url: str = ready["url"]
        self._token: str = ready["admin_token"]
        self._tls = ssl.create_default_context(cafile=ready["ca_file"])

    def trouble(self, cluster: str, faults: list[dict[str, Any]]) -> None:
        """What goes wrong with workloads of a cluster from now on; replaces the whole list."""
        self._call("POST", f"/_sim/clusters/{cluster}/settings", {"faults": faults})

    def cut(self, cluster: str) -> None:
        """Connections break at once and open watches end."""
        self._call("POST", "/_sim/faults", {"kind": "reset", "cluster": cluster})
        self._call("POST", f"/_sim/clusters/{cluster}/hangup")

    def silence(self, cluster: str) -> None:
        """From now on the cluster accepts connections and never answers."""
        self._call("POST", "/_sim/faults", {"kind": "blackhole", "cluster": cluster})

    def edit(
        self, cluster: str, kind: str, namespace: str, name: str, patch: dict[str, Any]
    ) -> None:
        """What somebody's `kubectl edit` would leave."""
        body = {"kind": kind, "namespace": namespace, "name": name, "patch": patch}
        self._call("POST", f"/_sim/clusters/{cluster}/edit", body)

    def _call(self, method: str, path: str, body: Any = None) -> None:
        """Raises OSError when the simulator does not take it."""
        request = urllib.request.Request(  # noqa: S310 - an address of our own making
            self._url + path,
            json.dumps(body or {}).encode(),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT, context=self._tls):  # noqa: S310
            return
