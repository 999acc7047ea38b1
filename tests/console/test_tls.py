"""Certificates: the one made here, and what is said of given ones that cannot serve."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from console import tls


def names_of(certificate: tls.Certificate) -> list[str]:
    """The hosts a certificate is for."""
    found = certificate.check()[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


def test_a_local_certificate(tmp_path: Path) -> None:
    """It is for this machine's names and the allowed hosts, its key is for its owner alone, its authority's is nowhere."""
    made = tls.local(tmp_path / "tls", ["127.0.0.1", "[::1]", "console.example", ".team.example", "*"])
    assert names_of(made) == ["localhost", "127.0.0.1", "::1", "console.example", "*.team.example"]
    assert made.key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["authority.pem", "console.key", "console.pem"]
    assert list(made.trust()) == [f"NODE_EXTRA_CA_CERTS={made.authority}", f"SSL_CERT_FILE={made.authority}"]


def test_it_is_made_once(tmp_path: Path) -> None:
    """A later start takes the same; other hosts, a lost file or its last month make it anew under the same names."""
    made = tls.local(tmp_path, [])
    first = made.chain.read_bytes()
    assert tls.local(tmp_path, ["localhost"]).chain.read_bytes() == first
    second = tls.local(tmp_path, ["other.example"]).chain.read_bytes()
    assert second != first
    made.key.unlink()
    third = tls.local(tmp_path, ["other.example"]).chain.read_bytes()
    assert third != second
    made.check()


def test_a_certificate_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month before its end there is another."""
    monkeypatch.setattr(tls, "LIFETIME", timedelta(days=20))
    first = tls.local(tmp_path, []).chain.read_bytes()
    assert tls.local(tmp_path, []).chain.read_bytes() != first


def test_clients_accept_it_strictly(tmp_path: Path) -> None:
    """The authority and what it signed keep the rules of RFC 5280, as Python 3.13 asks by default."""
    made = tls.local(tmp_path, [])
    client = ssl.create_default_context(cafile=made.authority)
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.chain, made.key)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (one, other, one, other):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert one.version() == "TLSv1.3"


def test_half_a_certificate() -> None:
    """A certificate without a key, or a key without a certificate, is refused by the name of what is missing."""
    with pytest.raises(tls.CertificateError, match="CONSOLE_TLS_CERT is set and CONSOLE_TLS_KEY is not"):
        tls.given("cert.pem", "")
    with pytest.raises(tls.CertificateError, match="CONSOLE_TLS_KEY is set and CONSOLE_TLS_CERT is not"):
        tls.given("", "key.pem")
    assert tls.given("", "") is None


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("no certificate", r"CONSOLE_TLS_CERT=\S+ cannot be read \(No such file or directory\)"),
        ("no key", r"CONSOLE_TLS_KEY=\S+ cannot be read \(No such file or directory\)"),
        ("exchanged", r"CONSOLE_TLS_CERT=\S+ holds no certificate"),
        ("no pem", r"CONSOLE_TLS_KEY=\S+ holds no private key"),
        ("another key", r"CONSOLE_TLS_KEY=\S+ is not the key of the first certificate in CONSOLE_TLS_CERT"),
        ("locked", r"CONSOLE_TLS_KEY=\S+ is locked with a password"),
        ("old", r"CONSOLE_TLS_CERT=\S+ ended on \d{4}-\d\d-\d\d"),
    ],
)
def test_what_cannot_serve_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, said: str) -> None:
    """A file that is missing, is something else or does not fit is named with its variable and its path."""
    if broken == "old":
        monkeypatch.setattr(tls, "LIFETIME", timedelta(hours=1))
    made = tls.local(tmp_path / "one", [])
    chain, key = made.chain, made.key
    match broken:
        case "no certificate":
            chain = tmp_path / "nothing.pem"
        case "no key":
            key = tmp_path / "nothing.key"
        case "exchanged":
            chain, key = key, chain
        case "no pem":
            key.write_text("secret")
        case "another key":
            key = tls.local(tmp_path / "two", []).key
        case "locked":
            locked = serialization.BestAvailableEncryption(b"password")
            form = serialization.PrivateFormat.PKCS8
            key.write_bytes(tls.read_key(key).private_bytes(serialization.Encoding.PEM, form, locked))
    with pytest.raises(tls.CertificateError, match=said):
        tls.Certificate(chain, key).check()


def test_it_holds_from_yesterday(tmp_path: Path) -> None:
    """A client whose clock is some hours behind accepts it."""
    assert tls.local(tmp_path, []).check()[0].not_valid_before_utc < datetime.now(UTC) - timedelta(hours=12)
