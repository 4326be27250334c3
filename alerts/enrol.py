"""Enrolment: what a box needs, in one file; and who is asking when a box comes with its token.

The file is JSON, mode 0600, as the edge reads it: ids, how to reach broker and central, the box's own
certificate and key, the authority, the token. Central keeps the token's digest and the certificate's serial
number, never the box's key.

What is revoked, and what was replaced, stands in a list (``data_dir/authority/revoked.pem``) for the broker.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from alerts.config import CentralConfig
from alerts.correlate import REPORTS
from alerts.services.errors import Conflict, Invalid, NotFound
from alerts.services.people import SHELL, digest
from alerts.store import audit
from alerts.store.database import Database
from alerts.store.tables import Certificate, Edge
from alerts.topics import ID_PATTERN
from towerwatch.secrets import register
from towerwatch.timebase import utc_now

AUTHORITY_LIFE = timedelta(days=20 * 365)
BOX_LIFE = timedelta(days=5 * 365)
BACKDATE = timedelta(hours=1)  # a box without a clock battery may be behind


class Authority:
    """The certificate authority of one central side, in ``data_dir/authority``.

    Attributes:
        revoked_file: the list of what it has revoked; other programs may read it.

    """

    def __init__(self, folder: Path) -> None:
        """Keep the folder; :meth:`open` makes or reads the key."""
        self.revoked_file = folder / "revoked.pem"
        self._certificate_file = folder / "ca.pem"
        self._key_file = folder / "ca.key"

    def exists(self) -> bool:
        """Say whether it has been made."""
        return self._key_file.exists() and self._certificate_file.exists()

    def open(self) -> None:
        """Make the authority on first use: P-256, valid for 20 years, with nothing revoked."""
        if self.exists():
            if not self.revoked_file.exists():  # it was made before there was a list
                self.revoke(())
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
        self.revoke(())

    @property
    def certificate_pem(self) -> str:
        """The authority's certificate; what clients trust."""
        return self._certificate_file.read_text(encoding="ascii")

    def issue(self, common_name: str, *, hosts: tuple[str, ...] = ()) -> tuple[str, str]:
        """Return (certificate, key) as PEM: for a client, or for a server under ``hosts``."""
        authority, signer = self._signer()
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

    def revoke(self, certificates: Iterable[tuple[int, datetime]]) -> None:
        """Write the list of what is revoked: (serial number, since when).

        The list has no end before the authority's own: a broker refuses everybody once its list is out of
        date, and nobody is on site to renew it.
        """
        authority, signer = self._signer()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.subject)
            .last_update(utc_now())
            .next_update(authority.not_valid_after_utc)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
        )
        for serial, since in certificates:
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            builder = builder.add_revoked_certificate(one.build())
        listed = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        write_private(self.revoked_file, listed)
        self.revoked_file.chmod(0o644)

    def _signer(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        authority = x509.load_pem_x509_certificate(self._certificate_file.read_bytes())
        signer = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            msg = f"{self._key_file} is no elliptic-curve key"
            raise Invalid(msg)
        return authority, signer


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
    if edge == REPORTS:
        msg = f"edge id {REPORTS!r} stands for what people report; take another"
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
            session.flush()
        row.enrolled_at, row.revoked_at, row.token_hash = now, None, digest(token)
        bundle = _bundle(config, edge, site, token)
        if path is not None:
            write_bundle(path, bundle)
        _revoke_certificates(session, edge)
        if "certificate_pem" in bundle["broker"]:
            issued = x509.load_pem_x509_certificate(bundle["broker"]["certificate_pem"].encode())
            session.add(_certificate(edge, issued))
        audit.record(session, SHELL, "box enrol", f"box {edge}", {"site": site, "again": again})
    _write_list(database, Authority(config.data_dir / "authority"))
    return bundle


def revoke(database: Database, config: CentralConfig, edge: str, *, by: str = SHELL) -> Path | None:
    """Refuse a box from now on, and its certificate; return the list for the broker, if there is one.

    Raises:
        NotFound: there is no such box.
        OSError: the list cannot be written; the box is refused by central all the same.

    """
    with database.write() as session:
        row = session.get(Edge, edge)
        if row is None:
            msg = f"there is no box {edge}"
            raise NotFound(msg)
        row.revoked_at, row.token_hash = utc_now(), None
        _revoke_certificates(session, edge)
        audit.record(session, by, "box revoke", f"box {edge}")
    return _write_list(database, Authority(config.data_dir / "authority"))


def _revoke_certificates(session: Session, edge: str) -> None:
    of_box = (Certificate.edge == edge, Certificate.revoked_at.is_(None))
    session.execute(update(Certificate).where(*of_box).values(revoked_at=utc_now()))


def _write_list(database: Database, authority: Authority) -> Path | None:
    if not authority.exists():
        return None
    with database.read() as session:
        rows = session.execute(
            select(Certificate.serial, Certificate.revoked_at)
            .where(Certificate.revoked_at.is_not(None), Certificate.expires_at > utc_now())
            .order_by(Certificate.serial)
        )
        authority.revoke([(int(serial, 16), since) for serial, since in rows if since is not None])
    return authority.revoked_file


def _certificate(edge: str, issued: x509.Certificate) -> Certificate:
    return Certificate(
        serial=f"{issued.serial_number:x}",
        edge=edge,
        issued_at=utc_now(),
        expires_at=issued.not_valid_after_utc,
    )


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
