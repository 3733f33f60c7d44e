"""How to reach one API server: the checked address, the TLS rules and the credential.

The name is resolved and judged once per connection pool, and TLS verifies the original name. The
client key goes from memory to OpenSSL through a memfd: it never touches a disk.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from clusters.engine.credential import ClusterCredential
from clusters.gateway.errors import TlsFailed, Unreachable
from fleetportal.kit.errors import Temporary
from fleetportal.kit.net import Endpoint, endpoint

USER_AGENT = "fleetportal"
CONNECT_TIMEOUT = 3.0  # seconds
READ_TIMEOUT = 10.0  # seconds without a byte
BYTE_CAP = 32 << 20  # of one answer
_SHORTEST_SECRET = 12  # characters; a shorter one would also be found where it is none


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything needed to talk to one cluster. A new credential has a new version."""

    cluster_id: str
    credential_version: int
    server: str
    ca_pem: str = field(repr=False)
    token: str = field(default="", repr=False)
    client_cert_pem: str = field(default="", repr=False)
    client_key_pem: str = field(default="", repr=False)
    tls_server_name: str = ""
    allow_loopback: bool = False

    @classmethod
    def of(
        cls,
        credential: ClusterCredential,
        *,
        cluster_id: str = "",
        credential_version: int = 0,
        allow_loopback: bool = False,
    ) -> Connection:
        return cls(
            cluster_id=cluster_id,
            credential_version=credential_version,
            server=credential.server,
            ca_pem=credential.ca_pem,
            token=credential.token,
            client_cert_pem=credential.client_cert_pem,
            client_key_pem=credential.client_key_pem,
            tls_server_name=credential.tls_server_name,
            allow_loopback=allow_loopback,
        )

    def resolve(self) -> Endpoint:
        """The judged address. Raises AddressRefused, or Unreachable when the name is unknown."""
        try:
            return endpoint(self.server, allow_loopback=self.allow_loopback)
        except Temporary as error:
            raise Unreachable(error.message, delay=error.delay) from error

    @property
    def host(self) -> str:
        """The name or address of the API server."""
        return urlsplit(self.server).hostname or ""

    @property
    def tls_name(self) -> str:
        """The name that the server's certificate must carry."""
        return self.tls_server_name or self.host

    def headers(self) -> dict[str, str]:
        """Of every request. Compression is off, so the byte cap counts what arrives."""
        found = {
            "Host": urlsplit(self.server).netloc,
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if self.token:
            found["Authorization"] = f"Bearer {self.token}"
        return found

    def redact(self, data: bytes) -> bytes:
        """What the cluster sent, without our token: a hostile one would have it shown or stored."""
        if len(self.token) < _SHORTEST_SECRET:
            return data
        return data.replace(self.token.encode("ascii"), b"[token]")

    def ssl_context(self) -> ssl.SSLContext:
        """Trusts the given CA only, verifies the name, TLS 1.2 or later. Raises TlsFailed."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cadata=self.ca_pem)
            if self.client_cert_pem:
                _load_client_certificate(context, self.client_cert_pem + self.client_key_pem)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise TlsFailed(
                "The CA or the client certificate cannot be used.",
                remedy="Register the cluster's credential again.",
            ) from error
        return context


def _load_client_certificate(context: ssl.SSLContext, pem: str) -> None:
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem.encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
