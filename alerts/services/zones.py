"""Draw zones in the console and have a box try them: each change is a new version of its configuration."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlalchemy import select

from alerts import commands
from alerts.evidence import BlobStore, add_artifact
from alerts.sectors import Sector, sectors_of
from alerts.services.errors import Conflict, Invalid, NotFound
from alerts.store import audit, journal
from alerts.store.database import Database
from alerts.store.tables import Command, Edge
from alerts.zones import ViewZones, ZoneShape, views_of, with_zones

_CONFIGS = 512  # whose sectors are kept in memory


@dataclass(frozen=True, slots=True)
class CameraZones:
    """The views of a camera in the configuration that its box runs; ``version`` is its SHA-256."""

    version: str
    views: tuple[ViewZones, ...]


@dataclass(frozen=True, slots=True)
class SendState:
    """What came of a configuration that was sent; ``ok`` is None while the box has not answered."""

    ok: bool | None
    detail: str


class ZoneService:
    """Reads configurations that central holds, and orders boxes to try new ones."""

    def __init__(self, database: Database, artifacts: BlobStore) -> None:
        """Keep the database and the store of configurations."""
        self._database = database
        self._artifacts = artifacts
        # a configuration is named by its digest, so what it says stays
        self._sectors_of = lru_cache(maxsize=_CONFIGS)(self._read_sectors)

    def version(self, edge: str) -> str:
        """Return the SHA-256 of the configuration that a box runs; raise NotFound where nobody knows."""
        with self._database.read() as session:
            row = session.get(Edge, edge)
        if row is None or row.config_sha256 is None:
            msg = f"box {edge} has not said yet which configuration it runs"
            raise NotFound(msg)
        return row.config_sha256

    def of_camera(self, edge: str, camera: str) -> CameraZones:
        """Return a camera's zones.

        Raises:
            NotFound: central does not hold the configuration that the box runs, or it has no such camera.

        """
        version = self.version(edge)
        return CameraZones(version, views_of(self._text(version), camera))

    def sectors(self, cameras: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[Sector, ...]]:
        """Return where some cameras (box, camera) look, as far as their boxes' configurations are here."""
        wanted = set(cameras)
        with self._database.read() as session:
            found = session.execute(
                select(Edge.id, Edge.config_sha256).where(Edge.id.in_({edge for edge, _camera in wanted}))
            ).all()
        seen: dict[tuple[str, str], tuple[Sector, ...]] = {}
        for edge, version in found:
            if version is not None and self._artifacts.has(version):
                of_box = self._sectors_of(version)
                seen |= {
                    (edge, camera): looks for camera, looks in of_box.items() if (edge, camera) in wanted
                }
        return seen

    def _read_sectors(self, version: str) -> dict[str, tuple[Sector, ...]]:
        return sectors_of(self._text(version))

    def keep_config(self, edge: str, data: bytes, user: str) -> None:
        """Take the configuration of a box in; raise Invalid if it is not the one that the box runs."""
        with tempfile.TemporaryDirectory(prefix="towerwatch-") as folder:
            file = Path(folder) / f"{edge}.yaml"
            file.write_bytes(data)
            if self._artifacts.add_file(file)[0] != self.version(edge):
                raise Invalid.of("not_its_config", edge=edge)
            sha256 = add_artifact(self._database, self._artifacts, file)
        with self._database.write() as session:
            audit.record(session, user, "config keep", f"box {edge}", {"sha256": sha256})
            journal.changed(session, "edge", edge, "config kept")  # open maps show its sectors by themselves

    def send(
        self, edge: str, camera: str, preset: str, zones: Sequence[ZoneShape], *, version: str, user: str
    ) -> str:
        """Have a box try its configuration with other zones in a view; return the command's id.

        Raises:
            NotFound: there is no such view.
            Invalid: what is drawn is no zone, or a rule would lose its zone.
            Conflict: the box runs another configuration than ``version`` by now.

        """
        if self.version(edge) != version:
            raise Conflict.of("box_other_config", edge=edge)
        text = with_zones(self._text(version), camera, preset, zones)
        with tempfile.TemporaryDirectory(prefix="towerwatch-") as folder:
            file = Path(folder) / f"{edge}.yaml"
            file.write_text(text, encoding="utf-8")
            sha256 = add_artifact(self._database, self._artifacts, file)
        with self._database.write() as session:
            about = {"camera": camera, "preset": preset, "from": version, "to": sha256}
            audit.record(session, user, "zones send", f"box {edge}", about)
            return commands.order(session, edge, "apply_config", {"sha256": sha256})

    def state(self, command_id: str) -> SendState:
        """Return what came of a command; raise NotFound for one that there is not."""
        with self._database.read() as session:
            row = session.get(Command, command_id)
        if row is None:
            msg = f"there is no command {command_id}"
            raise NotFound(msg)
        return SendState(row.ok, row.detail or "")

    def _text(self, version: str) -> str:
        if not self._artifacts.has(version):
            msg = f"central does not hold configuration {version[:12]}"
            raise NotFound(msg)
        return self._artifacts.path(version).read_text(encoding="utf-8")
