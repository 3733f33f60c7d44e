"""Which addresses the portal may talk to. Every user-given URL passes here before a connect.

The name is resolved once, every address it resolves to is judged, and the caller connects to the
judged address with the original name for TLS, so that a second look-up cannot lead elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from fleetportal.kit.errors import Permanent, Temporary

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
METADATA = {  # of clouds, those that are not link-local included
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "168.63.129.16",  # Azure
    )
}


class AddressRefused(Permanent):
    """The address is of a kind that the portal never talks to."""

    type = "address-refused"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked address: connect to `ip`:`port`, verify TLS as `host`, prefix paths with `path`."""

    host: str
    port: int
    path: str
    ip: str

    @property
    def url(self) -> str:
        """The same endpoint by address, for clients that would resolve again."""
        address = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"https://{address}:{self.port}{self.path}"


def endpoint(url: str, *, allow_loopback: bool, allow_private: bool = True) -> Endpoint:
    """Check an https URL and resolve it.

    Raises AddressRefused for another scheme, user info, a query, or an address in a refused range;
    Temporary when the name does not resolve.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError as error:
        raise AddressRefused(f"{url!r} is not a URL.") from error
    if parts.scheme != "https" or not parts.hostname:
        raise AddressRefused("The address must start with https://.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise AddressRefused("The address may hold a host, a port and a path, nothing else.")
    addresses = _resolve(parts.hostname, port)
    for address in addresses:
        _judge(address, allow_loopback=allow_loopback, allow_private=allow_private)
    return Endpoint(parts.hostname, port, parts.path.rstrip("/"), str(addresses[0]))


def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Temporary(f"{host} does not resolve to an address.", delay=30) from error
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to: mapped, or by a 6to4 or Teredo gateway."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


def _judge(address: Address, *, allow_loopback: bool, allow_private: bool) -> None:
    address = _inner(address)
    if address.is_loopback:
        if not allow_loopback:
            raise AddressRefused(f"{address} is this machine itself.")
        return
    if address in METADATA or address.is_link_local:
        raise AddressRefused(f"{address} is a link-local or metadata address.")
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        raise AddressRefused(f"{address} is not the address of one machine.")
    if address.is_private and not allow_private:
        raise AddressRefused(f"{address} is a private address.")
