"""Live looks at cameras: asked for through the broker, shown over HTTP, over when nobody asks any more.

Whoever looks asks for the newest picture about once a second. Asking orders the box to look for
:data:`LEASE_S`, and again when half of that has passed; a box that hears nothing stops by itself. One file a
camera holds the newest picture; it is gone when it is old.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from alerts import commands
from alerts.services.errors import Conflict, NotFound
from alerts.store import audit
from alerts.store.database import Database
from alerts.store.tables import Camera, Command, Edge
from towerwatch.timebase import utc_now

LEASE_S = 10.0
RENEW = timedelta(seconds=LEASE_S / 2)
# an order is a second on its way to the broker, and a picture on its way back
TAKEN = timedelta(seconds=LEASE_S + 5)
FRESH = timedelta(seconds=LEASE_S)
SAME_LOOK = timedelta(minutes=1)  # who goes on within it is audited once


@dataclass(frozen=True, slots=True)
class LivePicture:
    """The newest picture of a camera, a JPEG, and when it came."""

    data: bytes
    came_at: datetime


class LookService:
    """Orders looks, takes pictures from boxes, and gives out the newest."""

    def __init__(self, database: Database, folder: Path) -> None:
        """Keep database and folder; the folder is made with the first picture."""
        self._database = database
        self._folder = folder

    def ask(self, edge: str, camera: str, *, user: str) -> LivePicture | None:
        """Have a camera looked at, and return its newest picture; None while it is on its way.

        Raises:
            NotFound: no such camera has reported.
            Conflict: its box is away.

        """
        with self._database.read() as session:
            row, box = session.get(Camera, (edge, camera)), session.get(Edge, edge)
            if row is None or box is None:
                msg = f"no camera {camera} of box {edge} has reported yet"
                raise NotFound(msg)
            if not box.online or box.revoked_at is not None:
                raise Conflict.of("box_away", edge=edge)
            asked_at = _asked_at(session, edge, camera)
        now = utc_now()
        if asked_at is None or asked_at <= now - RENEW:
            self._order(edge, camera, user)
        return self._newest(edge, camera, now)

    def keep(self, edge: str, camera: str, data: bytes) -> bool:
        """Take a picture from a box; False when nobody looks any more."""
        with self._database.read() as session:
            asked_at = _asked_at(session, edge, camera)
        if asked_at is None or asked_at <= utc_now() - TAKEN:
            return False
        file = self._file(edge, camera)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{uuid.uuid4().hex}.part")
        partial.write_bytes(data)
        partial.replace(file)
        return True

    def _order(self, edge: str, camera: str, user: str) -> None:
        """Order once for all who look; what was ordered for earlier looks is forgotten."""
        with self._database.write() as session:
            self._database.lock(session, f"look {edge}/{camera}")
            now, asked_at = utc_now(), _asked_at(session, edge, camera)
            if asked_at is not None and asked_at > now - RENEW:
                return
            if asked_at is None or asked_at <= now - SAME_LOOK:
                audit.record(session, user, "live look", f"camera {edge}/{camera}")
                self._sweep(now)
            old = Command.created_at <= now - SAME_LOOK
            session.execute(delete(Command).where(Command.edge == edge, Command.name == "live", old))
            commands.order(session, edge, "live", {"camera": camera, "seconds": LEASE_S})

    def _newest(self, edge: str, camera: str, now: datetime) -> LivePicture | None:
        try:
            with self._file(edge, camera).open("rb") as stream:
                came_at = datetime.fromtimestamp(os.fstat(stream.fileno()).st_mtime, UTC)
                if came_at <= now - FRESH:
                    return None
                return LivePicture(stream.read(), came_at)
        except FileNotFoundError:
            return None

    def _sweep(self, now: datetime) -> None:
        """Delete the last pictures of looks that are over."""
        for file in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):  # somebody else sweeps too
                if datetime.fromtimestamp(file.stat().st_mtime, UTC) <= now - SAME_LOOK:
                    file.unlink()

    def _file(self, edge: str, camera: str) -> Path:
        return self._folder / edge / f"{camera}.jpg"


def _asked_at(session: Session, edge: str, camera: str) -> datetime | None:
    """Return when a box was last ordered to look with a camera."""
    newest = select(func.max(Command.created_at)).where(
        Command.edge == edge,
        Command.name == "live",
        Command.arguments["camera"].as_string() == camera,
    )
    return session.scalar(newest)
