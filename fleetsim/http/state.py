"""What the HTTP layer shares: the fleet, faults, the request log and the admin token."""

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
