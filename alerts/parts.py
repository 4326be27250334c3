"""Signs of life of the parts of central, so that one that hangs or is gone is seen."""

from __future__ import annotations

import socket
from typing import Any

from sqlalchemy.exc import DBAPIError

from alerts.store.database import Database
from alerts.store.tables import Part
from towerwatch.logs import get_logger
from towerwatch.timebase import utc_now

BEAT_S = 5.0

log = get_logger(__name__)


def beat(database: Database, name: str, detail: dict[str, Any]) -> None:
    """Note that a part lives; a database that is away is logged, not raised."""
    values = {"beat_at": utc_now(), "detail": {"host": socket.gethostname(), **detail}}
    insert: Any = database.insert(Part).values(name=name, **values)
    try:
        with database.write() as session:
            session.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))
    except DBAPIError as error:
        log.warning("sign of life not kept", part=name, error=str(error.orig))
