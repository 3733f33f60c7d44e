"""What the simulator tells the outside: registrations of clusters, a kubeconfig, and ready.json
once it listens.
"""

import base64
import os
from pathlib import Path
from typing import Any

import orjson
import yaml

from fleetsim.access import PORTAL_USER, portal_user
from fleetsim.http.reviews import mint
from fleetsim.http.state import Sim
from fleetsim.store import PORTAL_NAMESPACE, ClusterStore


def registration(sim: Sim, cluster: ClusterStore) -> dict[str, Any]:
    """What a portal needs to register the cluster; makes the portal's token on first use."""
    token = mint(sim.secret, cluster.name, PORTAL_USER)
    if token not in cluster.users:
        cluster.users[token] = portal_user(cluster.portal_rules)
    if cluster.get("ServiceAccount", PORTAL_NAMESPACE, "fleetportal") is None:
        meta = {"name": "fleetportal", "namespace": PORTAL_NAMESPACE}
        cluster.seed({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    server = f"{sim.url}/clusters/{cluster.name}"
    return {
        "name": cluster.name,
        "server": server,
        "spare_server": f"{sim.spare_url}/clusters/{cluster.name}" if sim.spare_url else "",
        "ca_pem": sim.ca_pem,
        "token": token,
        "uid": cluster.uid,
        "version": cluster.version,
        **cluster.meta,
    }


def kubeconfig(sim: Sim) -> str:
    """A kubeconfig with one context per cluster, the CA inline and the admin's token."""
    ca = base64.b64encode(sim.ca_pem.encode()).decode()
    names = list(sim.fleet.clusters)
    doc = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": f"{sim.url}/clusters/{name}",
                    "certificate-authority-data": ca,
                },
            }
            for name in names
        ],
        "users": [{"name": "admin", "user": {"token": sim.admin_token}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "admin"}} for name in names
        ],
        "current-context": names[0] if names else "",
    }
    return yaml.dump(doc, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)


def write_files(sim: Sim, ca_file: Path) -> dict[str, Any]:
    """Write clusters.json, fleet.kubeconfig and, last, ready.json. Returns the latter's content."""
    rows = [registration(sim, cluster) for cluster in sim.fleet.clusters.values()]
    _private(sim.state_dir / "clusters.json", orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    config = sim.state_dir / "fleet.kubeconfig"
    _private(config, kubeconfig(sim).encode())
    ready = {
        "url": sim.url,
        "spare_url": sim.spare_url,
        "ca_file": str(ca_file),
        "admin_token": sim.admin_token,
        "kubeconfig": str(config),
        "clusters": str(sim.state_dir / "clusters.json"),
        "pid": os.getpid(),
    }
    _private(sim.state_dir / "ready.json", orjson.dumps(ready))
    return ready


def _private(path: Path, content: bytes) -> None:
    """Write for the owner only, all at once."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(path)
