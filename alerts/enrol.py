"""Enrolment: what a box needs, in one file; and who is asking when a box comes with its token.

The file is JSON, mode 0600, as the edge reads it: ids, how to reach broker and central, the box's own
certificate and key, the authority, the token. Central keeps the token's digest alone, never the box's key.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import select

from alerts.config import CentralConfig
from alerts.services.errors import Conflict, Invalid, NotFound
from alerts.services.people import digest
from alerts.store.database import Database
from alerts.store.tables import Edge
from alerts.topics import ID_PATTERN
from towerwatch.secrets import register
from towerwatch.timebase import utc_now

AUTHORITY_LIFE = timedelta(days=20 * 365)
BOX_LIFE = timedelta(days=5 * 365)
BACKDATE = timedelta(hours=1)  # a box without a clock battery may be behind


class Authority:
    """The certificate authority of one central side, in ``data_dir/authority``."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder; :meth:`open` makes or reads the key."""
        self._certificate_file = folder / "ca.pem"
        self._key_file = folder / "ca.key"

    def open(self) -> None:
        """Make the authority on first use: P-256, valid for 20 years."""
        if self._key_file.exists() and self._certificate_file.exists():
            return
        folder = self._key_file.parent
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Towerwatch authority")
        certificate = (
            _builder(name, name, key.public_key(), AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self._key_file, _key_pem(key))
        self._certificate_file.write_text(_pem(certificate), encoding="ascii")

    @property
    def certificate_pem(self) -> str:
        """The authority's certificate; what clients trust."""
        return self._certificate_file.read_text(encoding="ascii")

    def issue(self, common_name: str, *, hosts: tuple[str, ...] = ()) -> tuple[str, str]:
        """Return (certificate, key) as PEM: for a client, or for a server under ``hosts``."""
        authority = x509.load_pem_x509_certificate(self._certificate_file.read_bytes())
        signer = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            msg = f"{self._key_file} is no elliptic-curve key"
            raise Invalid(msg)
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(_name(common_name), authority.subject, key.public_key(), BOX_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
        )
        if hosts:
            names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return _pem(builder.sign(signer, hashes.SHA256())), _key_pem(key).decode()


def enrol(
    database: Database,
    config: CentralConfig,
    edge: str,
    site: str,
    *,
    again: bool = False,
    path: Path | None = None,
) -> dict[str, Any]:
    """Enter a box and return what its enrolment file holds; a repeat replaces token and certificate.

    The file is written to ``path`` before the box is entered: where it cannot be, nothing has changed.

    Raises:
        Invalid: an id with characters that topics and certificates cannot carry.
        Conflict: the box is enrolled already, and ``again`` was not asked for, or it is of another site.
        OSError: the file, or that of the authority, cannot be written.

    """
    for what, value in (("edge", edge), ("site", site)):
        if not re.fullmatch(ID_PATTERN, value):
            msg = f"{what} id {value!r}: 1 to 64 of a-z, 0-9, - and _, with a letter or digit at both ends"
            raise Invalid(msg)
    token = "twe_" + secrets.token_urlsafe(32)
    register(token)
    now = utc_now()
    with database.write() as session:
        row = session.get(Edge, edge)
        if row is not None and row.site != site:
            msg = f"box {edge} belongs to site {row.site}"
            raise Conflict(msg)
        if row is not None and row.enrolled_at is not None and not again:
            msg = f"box {edge} is enrolled already; with --again it gets a new token and certificate"
            raise Conflict(msg)
        if row is None:
            row = Edge(id=edge, site=site, first_seen_at=now)
            session.add(row)
        row.enrolled_at, row.revoked_at, row.token_hash = now, None, digest(token)
        bundle = _bundle(config, edge, site, token)
        if path is not None:
            write_bundle(path, bundle)
    return bundle


def revoke(database: Database, edge: str) -> None:
    """Refuse a box from now on; raise :class:`NotFound` for one that is not known."""
    with database.write() as session:
        row = session.get(Edge, edge)
        if row is None:
            msg = f"there is no box {edge}"
            raise NotFound(msg)
        row.revoked_at, row.token_hash = utc_now(), None


def edge_of_token(database: Database, token: str) -> str | None:
    """Return which box a token belongs to; None when unknown or revoked."""
    with database.read() as session:
        return session.scalar(
            select(Edge.id).where(Edge.token_hash == digest(token), Edge.revoked_at.is_(None))
        )


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, never for a moment otherwise."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def write_bundle(path: Path, bundle: dict[str, Any]) -> None:
    """Write an enrolment file, mode 0600."""
    write_private(path, (json.dumps(bundle, indent=2) + "\n").encode())


def _bundle(config: CentralConfig, edge: str, site: str, token: str) -> dict[str, Any]:
    broker: dict[str, Any] = {
        "host": config.enrol.broker_host or config.broker.host,
        "port": config.enrol.broker_port or config.broker.port,
    }
    central: dict[str, Any] = {"url": config.public_url(), "token": token}
    authority = Authority(config.data_dir / "authority")
    authority.open()
    if config.boxes_use_tls():
        certificate, key = authority.issue(edge)
        broker |= {
            "username": edge,
            "ca_pem": authority.certificate_pem,
            "certificate_pem": certificate,
            "key_pem": key,
        }
    if config.public_url().startswith("https://"):
        central["ca_pem"] = authority.certificate_pem
    return {"schema_version": 1, "site": site, "edge": edge, "broker": broker, "central": central}


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = utc_now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
