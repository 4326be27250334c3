"""The catalogue that counts now, held in memory for each database, and the flow that an incident has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.catalogue.model import Catalogue, Flow, Item
from alerts.messages import Kind
from alerts.store.city import CatalogueRow
from alerts.store.tables import Incident

_HELD = "towerwatch catalogue"
KEPT = 4  # versions held in memory; incidents of older ones are read again


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


# the pool of a database's connections -> its versions; none of them ever changes
_VERSIONS: WeakKeyDictionary[Any, dict[int, LoadedCatalogue]] = WeakKeyDictionary()


@contextmanager
def hold_catalogue(session: Session) -> Iterator[None]:
    """Let all of a block use the version that counts when it begins."""
    session.info[_HELD] = _newest(session)
    try:
        yield
    finally:
        del session.info[_HELD]


def catalogue_now(session: Session) -> LoadedCatalogue | None:
    """Return the version that counts; None where none was imported."""
    newest = session.info[_HELD] if _HELD in session.info else _newest(session)
    return catalogue_of(session, newest) if newest is not None else None


def _newest(session: Session) -> int | None:
    return session.scalar(select(CatalogueRow.id).order_by(CatalogueRow.id.desc()).limit(1))


def catalogue_of(session: Session, version: int) -> LoadedCatalogue | None:
    """Return a version; None where there is none of that number."""
    pool = session.get_bind().engine.pool
    held = _VERSIONS.get(pool, {})
    if version in held:
        return held[version]
    row = session.get(CatalogueRow, version)
    if row is None:
        return None
    loaded = _ready(row)
    kept = sorted({*held, version})[-KEPT:]
    _VERSIONS[pool] = {number: one for number, one in {**held, version: loaded}.items() if number in kept}
    return loaded


def file_under(session: Session, incident: Incident) -> None:
    """Note the catalogue and flow that an incident is filed under, unless it has one."""
    if incident.flow is not None:
        return
    found = catalogue_now(session)
    flow = found.flow_of_kind(Kind(incident.kind)) if found is not None else None
    if found is not None and flow is not None:
        incident.catalogue, incident.flow = found.version, flow.code


def flow_for(session: Session, incident: Incident) -> Flow | None:
    """Return the flow of an incident: that which it is filed under, or else would be filed under now."""
    if incident.flow is not None:
        return flow_of(session, incident)
    found = catalogue_now(session)
    return found.flow_of_kind(Kind(incident.kind)) if found is not None else None


def flow_of(session: Session, incident: Incident) -> Flow | None:
    """Return the flow that an incident is filed under, of the catalogue that counted then."""
    if incident.catalogue is None or incident.flow is None:
        return None
    found = catalogue_of(session, incident.catalogue)
    return found.flows.get(incident.flow) if found is not None else None


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
