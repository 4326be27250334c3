"""The catalogue in the database: one row a version; the newest counts, incidents keep theirs."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from alerts.catalogue.filing import LoadedCatalogue, catalogue_now, catalogue_of
from alerts.catalogue.model import Catalogue
from alerts.catalogue.read import read_catalogue, starter_path
from alerts.services.errors import NotFound
from alerts.store import audit, journal
from alerts.store.city import CatalogueRow
from alerts.store.database import Database
from towerwatch.timebase import utc_now


class VersionView(BaseModel):
    """One imported catalogue."""

    model_config = ConfigDict(frozen=True)
    version: int
    name: str
    digest: str
    imported_at: datetime
    imported_by: str
    size: str


class CatalogueService:
    """Import a catalogue, and look things up in it."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def import_catalogue(self, catalogue: Catalogue, by: str) -> VersionView:
        """Make a catalogue the one that counts; one that counts already stays what it is."""
        with self._database.write() as session:
            self._database.lock(session, "catalogue")
            newest = session.scalar(_NEWEST)
            if newest is not None and newest.digest == catalogue.digest():
                return _view(newest)
            row = CatalogueRow(
                name=catalogue.name,
                digest=catalogue.digest(),
                imported_at=utc_now(),
                imported_by=by,
                size=catalogue.size(),
                body=catalogue.model_dump_json(),
            )
            session.add(row)
            session.flush()
            detail = {"name": row.name, "size": row.size, "digest": row.digest}
            audit.record(session, by, "catalogue import", f"catalogue {row.id}", detail)
            return _view(row)

    def ensure_starter(self) -> None:
        """Import the catalogue that we ship where there is none at all."""
        with self._database.read() as session:
            if session.scalar(select(CatalogueRow.id).limit(1)) is not None:
                return
        self.import_catalogue(read_catalogue(starter_path()), journal.SYSTEM)

    def get(self, version: int | None = None) -> LoadedCatalogue:
        """Return a version, the newest by default; raise :class:`NotFound` where there is none."""
        with self._database.read() as session:
            found = catalogue_now(session) if version is None else catalogue_of(session, version)
        if found is None:
            msg = "there is no catalogue yet" if version is None else f"there is no catalogue {version}"
            raise NotFound(msg)
        return found

    def list_versions(self) -> tuple[VersionView, ...]:
        """List what was imported, newest first."""
        with self._database.read() as session:
            return tuple(map(_view, session.scalars(select(CatalogueRow).order_by(CatalogueRow.id.desc()))))


_NEWEST = select(CatalogueRow).order_by(CatalogueRow.id.desc()).limit(1)


def _view(row: CatalogueRow) -> VersionView:
    return VersionView(
        version=row.id,
        name=row.name,
        digest=row.digest,
        imported_at=row.imported_at,
        imported_by=row.imported_by,
        size=row.size,
    )
