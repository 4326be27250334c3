"""The catalogue in the database: one row a version; the newest counts, incidents keep theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.catalogue.model import Catalogue, Flow, Item
from alerts.catalogue.read import read_catalogue, starter_path
from alerts.messages import Kind
from alerts.services.errors import NotFound
from alerts.store import audit, journal
from alerts.store.city import CatalogueRow
from alerts.store.database import Database
from towerwatch.timebase import utc_now

KEPT = 4  # versions held in memory; incidents of older ones are read again


class VersionView(BaseModel):
    """One imported catalogue."""

    model_config = ConfigDict(frozen=True)
    version: int
    name: str
    digest: str
    imported_at: datetime
    imported_by: str
    size: str


@dataclass(frozen=True, slots=True)
class LoadedCatalogue:
    """A version, ready to look up in."""

    version: int
    digest: str
    catalogue: Catalogue
    flows: dict[str, Flow] = field(repr=False)
    items: dict[str, Item] = field(repr=False)
    _first: dict[str, Flow] = field(repr=False)  # of an item
    _filed: dict[Kind, str] = field(repr=False)  # kind of alert -> item

    def flow_of_kind(self, kind: Kind) -> Flow | None:
        """Return the flow that an alert is filed under, unless somebody chooses another: its item's first."""
        item = self._filed.get(kind)
        return self._first.get(item) if item is not None else None

    def flow_of_item(self, item: str) -> Flow | None:
        """Return the first flow of an item; None for an item without one."""
        return self._first.get(item)


class CatalogueService:
    """Import a catalogue, and look things up in it."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database
        self._loaded: dict[int, LoadedCatalogue] = {}

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

    def current(self, session: Session) -> LoadedCatalogue | None:
        """Return the version that counts now, within the caller's transaction; None where there is none."""
        newest = session.scalar(select(CatalogueRow.id).order_by(CatalogueRow.id.desc()).limit(1))
        return self._load(session, newest) if newest is not None else None

    def get(self, version: int | None = None) -> LoadedCatalogue:
        """Return a version, the newest by default; raise :class:`NotFound` where there is none."""
        with self._database.read() as session:
            found = self.current(session) if version is None else self._load(session, version)
        if found is None:
            msg = "there is no catalogue yet" if version is None else f"there is no catalogue {version}"
            raise NotFound(msg)
        return found

    def list_versions(self) -> tuple[VersionView, ...]:
        """List what was imported, newest first."""
        with self._database.read() as session:
            return tuple(map(_view, session.scalars(select(CatalogueRow).order_by(CatalogueRow.id.desc()))))

    def _load(self, session: Session, version: int) -> LoadedCatalogue | None:
        found = self._loaded.get(version)
        if found is not None:
            return found
        row = session.get(CatalogueRow, version)
        if row is None:
            return None
        loaded = _ready(row)
        kept = sorted({*self._loaded, version})[-KEPT:]
        self._loaded = {**{key: value for key, value in self._loaded.items() if key in kept}, version: loaded}
        return loaded


_NEWEST = select(CatalogueRow).order_by(CatalogueRow.id.desc()).limit(1)


def _ready(row: CatalogueRow) -> LoadedCatalogue:
    catalogue = Catalogue.model_validate_json(row.body)
    first: dict[str, Flow] = {}
    for flow in catalogue.flows:
        first.setdefault(flow.item, flow)
    return LoadedCatalogue(
        version=row.id,
        digest=row.digest,
        catalogue=catalogue,
        flows={flow.code: flow for flow in catalogue.flows},
        items={item.code: item for item in catalogue.items},
        _first=first,
        _filed={kind: item.code for item in catalogue.items for kind in item.kinds},
    )


def _view(row: CatalogueRow) -> VersionView:
    return VersionView(
        version=row.id,
        name=row.name,
        digest=row.digest,
        imported_at=row.imported_at,
        imported_by=row.imported_by,
        size=row.size,
    )
