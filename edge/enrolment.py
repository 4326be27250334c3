"""What `central enrol` hands to a box: one JSON file with its name, broker, central side and keys.

The file is read once at start; certificate and key are written into the box's data folder, the key
readable by its owner alone, because TLS libraries take files.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from alerts.topics import ID_PATTERN
from edge.files import write_atomic
from towerwatch.errors import ConfigError, Problem
from towerwatch.secrets import Secret
from towerwatch.yamlconfig import StrictModel

MAX_FILE_BYTES = 256 * 1024
Id = Annotated[str, Field(pattern=ID_PATTERN)]
Pem = Annotated[str, Field(pattern=r"^\s*-----BEGIN ", max_length=64 * 1024)]


def _literal(value: Any) -> Any:
    """Hold a secret that stands in the file itself; the file is handed over like a key."""
    return Secret(value) if isinstance(value, str) and value else value


LiteralSecret = Annotated[Secret, BeforeValidator(_literal)]


def _pem_secret(value: Any) -> Any:
    if isinstance(value, str) and not value.lstrip().startswith("-----BEGIN "):
        msg = "is no PEM text; it begins with -----BEGIN"
        raise ValueError(msg)
    return _literal(value)


class BrokerEnrolment(StrictModel):
    """How the box reaches the broker. With ``ca_pem`` the connection is TLS, else it is plain."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)]
    username: Id | None = None
    password: LiteralSecret | None = None
    ca_pem: Pem | None = None
    certificate_pem: Pem | None = None
    key_pem: Annotated[Secret, BeforeValidator(_pem_secret)] | None = None


class CentralEnrolment(StrictModel):
    """How the box reaches the central side; ``ca_pem`` where its certificate is no public one."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")]
    token: LiteralSecret
    ca_pem: Pem | None = None


class Enrolment(StrictModel):
    """The whole file."""

    schema_version: Literal[1] = 1
    site: Id
    edge: Id
    broker: BrokerEnrolment
    central: CentralEnrolment


@dataclass(frozen=True, slots=True)
class EnrolmentFiles:
    """Where the keys of an enrolment lie once written; None for what it does not hold."""

    broker_ca: Path | None
    broker_certificate: Path | None
    broker_key: Path | None
    central_ca: Path | None


def load_enrolment(path: Path) -> Enrolment:
    """Read and validate an enrolment file.

    Raises:
        ConfigError: it is missing, too large, no JSON, or does not fit; values are never shown.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError([Problem(str(path), None, "", f"cannot be read: {error.strerror}")]) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError([Problem(str(path), None, "", f"is larger than {MAX_FILE_BYTES} bytes")])
    try:
        return Enrolment.model_validate(json.loads(data))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ConfigError([Problem(str(path), None, "", "is not a JSON file of central enrol")]) from None
    except ValidationError as error:
        problems = [
            Problem(
                str(path), None, ".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")
            )
            for item in error.errors(include_input=False, include_context=False, include_url=False)
        ]
        raise ConfigError(problems) from None


def materialise(enrolment: Enrolment, data_dir: Path) -> EnrolmentFiles:
    """Write the PEM texts below ``data_dir``; the folder is open to its owner alone.

    Raises:
        OSError: the folder cannot be written.

    """
    folder = data_dir / "enrolment"
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o700)  # noqa: PTH101 - Path.chmod follows links the same way; one call, one meaning
    key = enrolment.broker.key_pem
    return EnrolmentFiles(
        broker_ca=_write(folder / "broker-ca.pem", enrolment.broker.ca_pem),
        broker_certificate=_write(folder / "box.pem", enrolment.broker.certificate_pem),
        broker_key=_write(folder / "box.key", key.reveal() if key else None),
        central_ca=_write(folder / "central-ca.pem", enrolment.central.ca_pem),
    )


def _write(path: Path, text: str | None) -> Path | None:
    if text is None:
        return None
    write_atomic(path, text.encode(), mode=0o600)
    return path
