"""What the HTTP layer shares: the fleet, faults, the request log and the admin token."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleetsim.faults import FaultBook
from fleetsim.requestlog import RequestLog
from fleetsim.store import Fleet


@dataclass(slots=True)
class Sim:
    """One running simulator."""

    fleet: Fleet
    faults: FaultBook
    log: RequestLog
    admin_token: str
    secret: bytes
    state_dir: Path
    url: str = ""
    ca_pem: str = ""
    bookmark_seconds: float = 10.0
    spare_url: str = ""  # the same clusters behind a certificate that a fault can let expire
    on_faults: Callable[[], None] | None = None

    def faults_changed(self) -> None:
        """Tell whoever must act on a fault at once."""
        if self.on_faults is not None:
            self.on_faults()
