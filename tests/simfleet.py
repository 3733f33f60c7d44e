"""A running fleet simulator for tests: one process per test session, one fresh cluster per test.

Needs nothing of the portal. `SimFleet.start(folder)` starts the process; `add_cluster` makes a
cluster at run time.
"""

import itertools
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_numbers = itertools.count(1)


@dataclass(frozen=True)
class SimCluster:
    """How to reach one simulated cluster. `token` is the portal's service account, `admin_token`
    may do everything.
    """

    fleet: "SimFleet"
    name: str
    server: str
    ca_pem: str
    token: str
    admin_token: str
    uid: str
    info: dict[str, Any] = field(default_factory=dict)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        content_type: str = "application/json",
        timeout: float = 20,
    ) -> tuple[int, Any, dict[str, str]]:
        """(status, parsed JSON or text, headers in lower case) of one request below the cluster's
        address.
        """
        url = self.server + path
        return self.fleet.call(
            method,
            url,
            body,
            token=token or self.admin_token,
            content_type=content_type,
            timeout=timeout,
        )

    def get(self, path: str) -> Any:
        """The parsed answer of a GET as admin."""
        return self.request("GET", path)[1]

    def objects(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """What the cluster holds of a Kind, past every fault."""
        query = f"?kind={kind}" + (f"&namespace={namespace}" if namespace else "")
        found = self.fleet.control("GET", f"/_sim/clusters/{self.name}/objects{query}")
        assert isinstance(found, list)
        return found

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        """The request log of this cluster."""
        found = self.fleet.control("GET", f"/_sim/log?cluster={self.name}&after={after}")
        assert isinstance(found, list)
        return found

    def fault(self, kind: str, **fields: Any) -> int:
        """Switch a fault on for this cluster; returns its id. Fields: verb, resource, count, code,
        seconds ...
        """
        body = {"kind": kind, "cluster": self.name, **fields}
        return int(self.fleet.control("POST", "/_sim/faults", body)["id"])

    @property
    def spare_server(self) -> str:
        """The same cluster at the port whose certificate `expired_certificate` lets expire."""
        return str(self.info["spare_server"])

    def clear_faults(self) -> None:
        """Switch every fault of this cluster off."""
        self.fleet.control("DELETE", f"/_sim/faults?cluster={self.name}")

    def change(self, **settings: Any) -> None:
        """Change settings of the running cluster (see fleetsim/scenario.py): capacity ..."""
        self.fleet.control("POST", f"/_sim/clusters/{self.name}/settings", settings)

    def edit(self, kind: str, namespace: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        """What somebody else's `kubectl edit` would leave; returns the object."""
        body = {"kind": kind, "namespace": namespace, "name": name, "patch": patch}
        found = self.fleet.control("POST", f"/_sim/clusters/{self.name}/edit", body)
        assert isinstance(found, dict)
        return found

    def new_token(self, **body: Any) -> str:
        """A token: user, rules ([{verbs, resources, namespaces?}]), expires_in (seconds). With
        `token` one that there is gets this end."""
        path = f"/_sim/clusters/{self.name}/tokens"
        return str(self.fleet.control("POST", path, body)["token"])

    def compact(self) -> None:
        """Make every earlier resourceVersion too old."""
        self.fleet.control("POST", f"/_sim/clusters/{self.name}/compact")

    def hang_up(self) -> None:
        """End every open watch."""
        self.fleet.control("POST", f"/_sim/clusters/{self.name}/hangup")


class SimFleet:
    """One simulator process."""

    def __init__(self, process: subprocess.Popen[bytes], state_dir: Path) -> None:
        self.process = process
        self.state_dir = state_dir
        ready = json.loads((state_dir / "ready.json").read_text())
        self.url: str = ready["url"]
        self.ca_file: str = ready["ca_file"]
        self.admin_token: str = ready["admin_token"]
        self.kubeconfig: str = ready["kubeconfig"]
        self.ca_pem = Path(self.ca_file).read_text()
        self.tls = ssl.create_default_context(cafile=self.ca_file)

    @classmethod
    def start(
        cls,
        state_dir: Path,
        *,
        scenario: str = "empty",
        clusters: int = 0,
        speed: float = 20,
        seed: int = 1,
        actors: bool = True,
        bookmarks: float = 10,
        faults: Path | None = None,
        wait: float = 60,
    ) -> "SimFleet":
        """Start a simulator and wait until it listens. Raises RuntimeError with its output when it
        does not.
        """
        state_dir.mkdir(parents=True, exist_ok=True)
        (state_dir / "ready.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "fleetsim", "--state-dir", str(state_dir)]
        command += ["--scenario", scenario, "--clusters", str(clusters)]
        command += ["--speed", str(speed), "--seed", str(seed), "--bookmarks", str(bookmarks)]
        command += [] if actors else ["--no-actors"]
        command += ["--faults", str(faults)] if faults else []
        output = state_dir / "output.txt"
        with output.open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + wait
        while not (state_dir / "ready.json").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"the simulator did not start: {output.read_text()}")
            time.sleep(0.02)
        return cls(process, state_dir)

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def add_cluster(self, name: str = "", **spec: Any) -> SimCluster:
        """A fresh cluster (a unique name unless given). `rules` narrows the portal's token; the
        rest of the spec is the scenario's (see fleetsim/scenario.py). `exporters=True` adds DCGM
        exporters (and HAMi's on its nodes) and the Service monitoring/prometheus:9090.
        """
        name = name or f"t{next(_numbers)}"
        info = self.control("POST", "/_sim/clusters", {"name": name, **spec})
        return self._cluster(info)

    def fault(self, kind: str, **fields: Any) -> int:
        """Switch a fault on for the clusters of `cluster` (names or globs, a list or with commas;
        all of them without); returns its id.
        """
        return int(self.control("POST", "/_sim/faults", {"kind": kind, **fields})["id"])

    def clear_faults(self) -> None:
        """Switch every fault off."""
        self.control("DELETE", "/_sim/faults")

    def clusters(self) -> list[SimCluster]:
        """Every cluster there is."""
        return [self._cluster(info) for info in self.control("GET", "/_sim/clusters")]

    def _cluster(self, info: dict[str, Any]) -> SimCluster:
        return SimCluster(
            self, info["name"], info["server"], info["ca_pem"], info["token"],
            self.admin_token, info["uid"], info,
        )  # fmt: skip

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the simulator's own interface. Raises AssertionError unless it succeeds."""
        status, answer, _ = self.call(method, self.url + path, body, token=self.admin_token)
        assert status < 300, answer
        return answer

    def call(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        token: str,
        content_type: str = "application/json",
        timeout: float = 20,
    ) -> tuple[int, Any, dict[str, str]]:
        """One HTTPS request. Returns (status, parsed JSON or text, headers)."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "User-Agent": "simfleet/1"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self.tls) as answer:
                return answer.status, _parsed(answer.read()), _lower(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _parsed(error.read()), _lower(error.headers)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def _lower(headers: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}
