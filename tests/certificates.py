"""Certificates for the servers of the tests: authorities, and what they sign."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Signed:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(PEM).decode()

    @property
    def secret(self) -> str:
        """The private key, as PEM."""
        plain = serialization.NoEncryption()
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def sign(
    name: str,
    by: Signed | None = None,
    *,
    from_: datetime | None = None,
    host: str | None = None,
) -> Signed:
    """A certificate for `host` (a name or an IP address) signed `by` an authority, or without a
    host an authority; signed by itself when `by` is None. Valid for a week from `from_` (aware),
    yesterday unless it is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begin = from_ or datetime.now(UTC) - DAY
    issuer_key = by.key if by else key
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + 7 * DAY)
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issued_by, critical=False)
        .add_extension(_usage(authority=host is None), critical=True)
    )
    if host is not None:
        names = x509.SubjectAlternativeName([_name(host)])
        builder = builder.add_extension(names, critical=False)
    return Signed(builder.sign(issuer_key, hashes.SHA256()), key)


def server_context(folder: Path, *chain: Signed) -> ssl.SSLContext:
    """A server's context with this certificate and those between it and its authority."""
    path = folder / "server.pem"
    path.write_text(chain[0].secret + "".join(link.pem for link in chain))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
