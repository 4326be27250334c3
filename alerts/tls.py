"""PEM files of TLS, looked at before a thread runs on them: there their mistakes would be tracebacks."""

from __future__ import annotations

import ssl
from pathlib import Path

from towerwatch.errors import ConfigError


def check_files(
    where: str, *, ca: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> None:
    """Raise ConfigError, with the key that names them, for files that are not there or cannot be used."""
    files = [file for file in (ca, certificate, key) if file is not None]
    for file in files:
        if not file.is_file():
            msg = f"{where}: no file {file}"
            raise ConfigError(msg)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca is not None:
            context.load_verify_locations(ca)
        if certificate is not None:
            context.load_cert_chain(certificate, key, password=lambda: "")  # or it would ask the terminal
    except OSError as error:
        msg = f"{where}: {', '.join(map(str, files))}: cannot be used: {error}"
        raise ConfigError(msg) from None
