"""Certificates: the local one that ``manage.py console --tls`` makes, and whether given ones can serve https and wss."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from twisted.internet.ssl import CertificateOptions

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
LIFETIME = timedelta(days=825)
"""The longest that Apple's systems accept."""
RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(days=1)
"""How far a client's clock may be behind."""


class CertificateError(Exception):
    """A certificate or key cannot serve; the sentence names the variable or the file."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files, PEM."""

    chain: Path
    """The server's certificate first, then those between it and its authority."""
    key: Path
    authority: Path | None = None
    """What a client must trust; None when the certificate was given and not made here."""

    def trust(self) -> Iterator[str]:
        """What to set for a client that is to trust this, a line for each kind of client."""
        if self.authority is not None:
            yield f"NODE_EXTRA_CA_CERTS={self.authority}"
            yield f"SSL_CERT_FILE={self.authority}"

    def check(self) -> list[x509.Certificate]:
        """The chain, when the files can serve. Raises CertificateError when they cannot."""
        first, *others = read_chain(self.chain)
        if public(first.public_key()) != public(read_key(self.key).public_key()):
            raise CertificateError(
                f"CONSOLE_TLS_KEY={self.key} is not the key of the first certificate in CONSOLE_TLS_CERT={self.chain}."
            )
        if first.not_valid_after_utc <= datetime.now(UTC):
            raise CertificateError(
                f"The certificate in CONSOLE_TLS_CERT={self.chain} ended on {first.not_valid_after_utc:%Y-%m-%d}."
            )
        return [first, *others]

    def options(self) -> CertificateOptions:
        """For Twisted. Raises CertificateError as ``check`` does."""
        from twisted.internet import ssl  # noqa: PLC0415  (the server chooses the reactor before anything of Twisted)

        first, *others = self.check()
        pair = ssl.PrivateCertificate.loadPEM(pem(first) + key_pem(read_key(self.key)))
        return ssl.CertificateOptions(
            privateKey=pair.privateKey.original,
            certificate=pair.original,
            extraCertChain=[ssl.Certificate.loadPEM(pem(other)).original for other in others],
        )


def given(chain: str, key: str) -> Certificate | None:
    """The certificate the environment names, if it names one. Raises CertificateError when half of it is missing."""
    if bool(chain) != bool(key):
        has, lacks = ("CONSOLE_TLS_CERT", "CONSOLE_TLS_KEY") if chain else ("CONSOLE_TLS_KEY", "CONSOLE_TLS_CERT")
        raise CertificateError(f"{has} is set and {lacks} is not: https needs both.")
    return Certificate(Path(chain), Path(key)) if chain else None


def local(folder: Path, hosts: Iterable[str]) -> Certificate:
    """The certificate of this installation, made when there is none that holds for these hosts and another month.

    Raises CertificateError when it cannot be written.
    """
    made = Certificate(folder / "console.pem", folder / "console.key", folder / "authority.pem")
    names = list(dict.fromkeys([*LOCAL_NAMES, *filter(None, map(certifiable, hosts))]))
    if not serves(made, names):
        try:
            make(made, names)
        except OSError as error:
            raise CertificateError(f"No certificate can be written in {folder} ({error.strerror}).") from None
    return made


def certifiable(host: str) -> str:
    """The name a certificate can have for an entry of the allowed hosts; ``""`` where it can have none (``*``)."""
    name = host.strip().strip("[]").lower()
    name = f"*{name}" if name.startswith(".") else name
    return name if name.isascii() and name.strip("*.") else ""


def serves(certificate: Certificate, names: list[str]) -> bool:
    """Whether these files are there, fit, have these names and are good for another month."""
    try:
        first = certificate.check()[0]
    except CertificateError:
        return False
    alternatives = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        certificate.authority is not None
        and certificate.authority.is_file()
        and list(alternatives) == [alternative(name) for name in names]
        and first.not_valid_after_utc > datetime.now(UTC) + RENEW_BEFORE
    )


def make(certificate: Certificate, names: list[str]) -> None:
    """Write an authority of its own and what it has signed.

    The authority's key is forgotten: whoever comes to trust it trusts this one certificate, and nobody can sign more.
    """
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Realtime Console, this installation's authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Realtime Console")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        blank(issuer, issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        blank(subject, issuer, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([alternative(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate.chain.parent.mkdir(parents=True, exist_ok=True)
    certificate.key.unlink(missing_ok=True)
    with os.fdopen(os.open(certificate.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key_pem(key))
    certificate.chain.write_bytes(pem(leaf))
    assert certificate.authority is not None
    certificate.authority.write_bytes(pem(authority))


def blank(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    """What authority and leaf have in common."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now - CLOCK_SKEW + LIFETIME)
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What a key may do: sign certificates, or speak TLS."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def alternative(name: str) -> x509.GeneralName:
    """A host as a certificate names it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def read_chain(path: Path) -> list[x509.Certificate]:
    """The certificates of a file, the server's first. Raises CertificateError."""
    try:
        return x509.load_pem_x509_certificates(read("CONSOLE_TLS_CERT", path))
    except ValueError:
        raise CertificateError(f"CONSOLE_TLS_CERT={path} holds no certificate in PEM form.") from None


def read_key(path: Path) -> Any:
    """The private key of a file. Raises CertificateError."""
    try:
        return serialization.load_pem_private_key(read("CONSOLE_TLS_KEY", path), None)
    except TypeError:
        raise CertificateError(f"CONSOLE_TLS_KEY={path} is locked with a password: save it without one.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"CONSOLE_TLS_KEY={path} holds no private key in PEM form.") from None


def read(variable: str, path: Path) -> bytes:
    """A file's bytes. Raises CertificateError that names the variable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{variable}={path} cannot be read ({error.strerror}).") from None


def public(key: Any) -> bytes:
    """A public key in a form that can be compared."""
    encoded: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Any) -> bytes:
    """A private key as text, without a password."""
    text: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text
