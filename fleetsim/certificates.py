"""A private CA, a server certificate for 127.0.0.1 and localhost, and one that expired yesterday;
made at first start and kept in the state directory.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=365)
SPARE = timedelta(days=7)
EXPIRED = "expired.pem"  # for the same key


def ensure(folder: Path) -> tuple[Path, Path, Path]:
    """(CA certificate, server certificate, server key) as PEM files; made anew where missing or
    nearly over.
    """
    files = [folder / name for name in ("ca.pem", "server.pem", "server.key", EXPIRED)]
    ca_file, cert_file, key_file, _ = files
    if not all(path.exists() for path in files) or _ends_soon(cert_file):
        key_file.touch(mode=0o600)
        for path, pem in zip(files, _issue(), strict=True):
            path.write_bytes(pem)
    return ca_file, cert_file, key_file


def _ends_soon(path: Path) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.not_valid_after_utc < datetime.now(UTC) + SPARE


def _issue() -> tuple[bytes, bytes, bytes, bytes]:
    """CA, server certificate, its key, and the expired certificate."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fleetsim CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fleetsim")])
    ca = _authority(ca_name, ca_key)
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]

    def signed(builder: x509.CertificateBuilder) -> bytes:
        return _server(builder, names, key_id).sign(ca_key, hashes.SHA256()).public_bytes(pem)

    pem = serialization.Encoding.PEM
    encoded = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    fresh = signed(_builder(name, ca_name, key))
    over = signed(_builder(name, ca_name, key, ended=timedelta(days=1)))
    return ca.public_bytes(pem), fresh, encoded, over


def _server(
    builder: x509.CertificateBuilder,
    names: list[x509.GeneralName],
    key_id: x509.AuthorityKeyIdentifier,
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(key_id, critical=False)
    )


def _authority(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(key_id, critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    ended: timedelta | None = None,
) -> x509.CertificateBuilder:
    """A certificate for a year from now, or one that `ended` so long ago."""
    now = datetime.now(UTC) - (LIFE + ended if ended else timedelta())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFE)
    )
