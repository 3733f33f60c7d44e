"""What reaches a cluster: address, CA and one credential, each checked before it is stored.

Nothing here opens a file, resolves a name or starts a process: all parts are inline text. Whether
an address may be reached at all is the business of fleetportal.kit.net. No message holds a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MAX_BYTES = 256 * 1024  # of any input
_TOKEN = re.compile(r"[!-~]{1,16384}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]+")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----")
_KEY = re.compile(r"-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----([A-Za-z0-9+/=\s]+?)-----END \1-----")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the field as sent, what is wrong with it, what to do."""

    field: str
    message: str
    remedy: str


class CredentialError(Exception):
    """A kubeconfig or a form that cannot be used. `problems` has at least one entry."""

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.message} {p.remedy}" for p in self.problems))


@dataclass(frozen=True, slots=True)
class ClusterCredential:
    """A usable address and credential: a token, or a client certificate with its key."""

    server: str
    ca_pem: str
    token: str = field(default="", repr=False)
    client_cert_pem: str = field(default="", repr=False)
    client_key_pem: str = field(default="", repr=False)
    tls_server_name: str = ""

    @property
    def kind(self) -> str:
        return "token" if self.token else "client-cert"


_Check = tuple[Callable[[str], str], str]  # a check, and the value to be checked


def parse_fields(
    server: str,
    ca_pem: str,
    token: str = "",
    *,
    client_cert_pem: str = "",
    client_key_pem: str = "",
    tls_server_name: str = "",
    names: Callable[[str], str] = lambda name: name,
) -> ClusterCredential:
    """Check the parts of a credential. `names` maps our field names to the ones that were sent.

    Raises CredentialError with every problem found.
    """
    checks: dict[str, _Check] = {
        "server": (check_server, server),
        "ca": (check_certificates, ca_pem),
        "tls_server_name": (_check_server_name, tls_server_name),
    }
    if token or not (client_cert_pem or client_key_pem):
        checks["token"] = (_check_token, token)
    if client_cert_pem or client_key_pem:
        checks["client_cert"] = (check_certificates, client_cert_pem)
        checks["client_key"] = (_check_key, client_key_pem)
    good, problems = _run(checks, names)
    if "token" in checks and "client_key" in checks:
        problems.append(
            Problem(names("token"), "A token and a client certificate were given.", "Keep one.")
        )
    if problems:
        raise CredentialError(problems)
    return ClusterCredential(
        server=good["server"],
        ca_pem=good["ca"],
        token=good.get("token", ""),
        client_cert_pem=good.get("client_cert", ""),
        client_key_pem=good.get("client_key", ""),
        tls_server_name=good["tls_server_name"],
    )


def parse_parts(sent: Mapping[str, str]) -> ClusterCredential:
    """The same of parts by the names that forms and bodies have for them."""
    return parse_fields(
        sent["server"],
        sent["ca"],
        sent["token"],
        client_cert_pem=sent["client_cert"],
        client_key_pem=sent["client_key"],
        tls_server_name=sent["tls_server_name"],
    )


def _run(
    checks: dict[str, _Check], names: Callable[[str], str]
) -> tuple[dict[str, str], list[Problem]]:
    good: dict[str, str] = {}
    problems: list[Problem] = []
    for name, (check, value) in checks.items():
        try:
            good[name] = check(value)
        except _Wrong as wrong:
            problems.append(Problem(names(name), wrong.message, wrong.remedy))
    return good, problems


class _Wrong(Exception):
    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


def check_server(value: str) -> str:
    """An https address of an API server, without a trailing slash."""
    text = value.strip()
    if not text:
        raise _Wrong("The address of the API server is missing.", "Give https://host:port.")
    if len(text) > 300 or not text.isascii() or not text.isprintable() or " " in text:
        raise _Wrong("This is not an address.", "Give https://host:port in plain ASCII.")
    if not text.lower().startswith("https://"):
        raise _Wrong("Only https:// is accepted.", "Give the TLS address of the API server.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _Wrong("The host or port cannot be read.", "Give https://host:port.") from error
    if "@" in parts.netloc or "?" in text or "#" in text or "\\" in text or "%" in text:
        text = "User names, queries, fragments and escapes are refused in an address."
        raise _Wrong(text, "Give https://host:port.")
    return _assemble(parts.hostname or "", port, parts.path)


def _assemble(host: str, port: int | None, path: str) -> str:
    is_address = ":" in host and bool(_ADDRESS.fullmatch(host))
    if len(host) > 253 or not (is_address or _HOST_NAME.fullmatch(host)):
        raise _Wrong("The host name is not valid.", "Give https://host:port.")
    if port == 0:
        raise _Wrong("Port 0 is not a port.", "Give 1 to 65535.")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        text = "The path of the address holds characters that are refused."
        raise _Wrong(text, "Give https://host:port, with a plain path where there is one.")
    shown = f"[{host}]" if is_address else host
    return f"https://{shown}{f':{port}' if port else ''}{path.rstrip('/')}"


def check_certificates(value: str) -> str:
    """One or more PEM certificates and nothing else; returned in a canonical form."""
    if not value.strip():
        raise _Wrong("The certificate is missing.", "Paste it as PEM, inline.")
    if len(value) > MAX_BYTES or "PRIVATE KEY" in value:
        raise _Wrong("Only certificates belong here.", "Remove private keys; 256 KiB at most.")
    blocks: list[str] = _CERTIFICATE.findall(value)
    if not blocks:
        raise _Wrong("No PEM certificate was found.", 'It starts with "-----BEGIN CERTIFICATE".')
    joined = "\n".join(block.strip() for block in blocks) + "\n"
    try:
        for block in blocks:
            ssl.PEM_cert_to_DER_cert(block.strip())
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=joined)
    except (ValueError, OSError) as error:  # SSLError is an OSError
        raise _Wrong("The certificate cannot be read.", "Paste the whole PEM block.") from error
    return joined


def _check_key(value: str) -> str:
    if "ENCRYPTED" in value:
        raise _Wrong("The private key is encrypted.", "Give it without a pass phrase.")
    found = _KEY.search(value) if len(value) <= MAX_BYTES else None
    if found is None:
        raise _Wrong("No PEM private key was found.", "Paste it as PEM, inline.")
    try:
        base64.b64decode("".join(found[2].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Wrong("The private key cannot be read.", "Paste the whole block.") from error
    return f"{found[0].strip()}\n"


def _check_token(value: str) -> str:
    text = value.strip()
    if not text:
        raise _Wrong(
            "No credential was given.",
            "Give a token, or a client certificate with its key, inline.",
        )
    if not _TOKEN.fullmatch(text):
        raise _Wrong("A token is one line of printable ASCII without spaces.", "Paste it alone.")
    return text


def _check_server_name(value: str) -> str:
    text = value.strip()
    if text and (len(text) > 253 or not (_HOST_NAME.fullmatch(text) or _ADDRESS.fullmatch(text))):
        raise _Wrong("This is not a host name.", "Leave it empty unless TLS needs another name.")
    return text
