"""Send a model version or a configuration to boxes, and wait for what they answer.

What is sent are digests, through the broker; boxes fetch the files by them and check them. A box that
cannot use what it is sent says so and keeps what it has.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import select

from alerts import commands
from alerts.evidence import BlobStore, add_artifact
from alerts.messages import Sha256
from alerts.store.database import Database
from alerts.store.tables import Command, Edge
from towerwatch.errors import ConfigError

MANIFEST_FILE = "manifest.json"
LOOK_EVERY_S = 0.5


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    path: str
    sha256: Sha256


class _Manifest(BaseModel):
    """What is needed of a model's manifest here; the box checks all of it before each load."""

    model_config = ConfigDict(extra="ignore")

    name: str
    version: str
    files: tuple[_File, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a box answered; ``ok`` is None where it did not in time."""

    edge: str
    ok: bool | None
    detail: str


def send_model(database: Database, store: BlobStore, folder: Path, edges: Sequence[str]) -> dict[str, str]:
    """Offer a model version (the folder of its manifest) and ask boxes to fetch it; box -> command id.

    Raises:
        ConfigError: the folder holds no such version, a file is not the one in the manifest, or a box
            is not known.

    """
    manifest = _manifest(folder / MANIFEST_FILE)
    store.open()
    for file in manifest.files:
        sent = add_artifact(database, store, _there(folder / file.path))
        if sent != file.sha256:
            msg = f"{folder / file.path}: its sha256 is {sent}, the manifest names {file.sha256}"
            raise ConfigError(msg)
    arguments = {
        "name": manifest.name,
        "version": manifest.version,
        "manifest_sha256": add_artifact(database, store, folder / MANIFEST_FILE),
    }
    return _order(database, edges, "fetch_model", arguments)


def send_config(database: Database, store: BlobStore, file: Path, edges: Sequence[str]) -> dict[str, str]:
    """Offer a configuration and ask boxes to try it; box -> command id.

    Raises:
        ConfigError: there is no such file, or a box is not known.

    """
    store.open()
    sha256 = add_artifact(database, store, _there(file))
    return _order(database, edges, "apply_config", {"sha256": sha256})


def wait(database: Database, asked: dict[str, str], timeout_s: float) -> list[Answer]:
    """Wait until every box has answered, at most ``timeout_s``; central must be running."""
    deadline = time.monotonic() + timeout_s
    while True:
        with database.read() as session:
            rows = session.scalars(select(Command).where(Command.id.in_(asked.values()))).all()
            answers = [
                Answer(row.edge, row.ok, (row.detail or "") if row.replied_at else "no answer yet")
                for row in rows
            ]
        if all(answer.ok is not None for answer in answers) or time.monotonic() > deadline:
            return sorted(answers, key=lambda answer: answer.edge)
        time.sleep(LOOK_EVERY_S)


def _order(
    database: Database, edges: Sequence[str], name: commands.Name, arguments: dict[str, str]
) -> dict[str, str]:
    with database.write() as session:
        for edge in edges:
            if session.get(Edge, edge) is None:
                msg = f"there is no box {edge}; central enrol makes one"
                raise ConfigError(msg)
        return {edge: commands.order(session, edge, name, dict(arguments)) for edge in dict.fromkeys(edges)}


def _manifest(path: Path) -> _Manifest:
    try:
        return _Manifest.model_validate_json(_there(path).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ConfigError(msg) from None


def _there(path: Path) -> Path:
    if not path.is_file():
        msg = f"{path}: no such file"
        raise ConfigError(msg)
    return path
