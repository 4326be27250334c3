"""The health of many cameras in one statement: the database takes one JSON document apart by itself.

A fleet of 4,475 boxes reports 2,400 cameras a second; a statement, an object or even a row of parameters for
each would cost more than all the rest of central.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Float,
    String,
    case,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session

from alerts.messages import CameraHealth
from alerts.store.base import UtcDateTime
from alerts.store.database import Database
from alerts.store.tables import Camera

# what a message says of a camera, as the columns of its row
_SAID: tuple[Column[Any], ...] = (
    Column("edge", String),
    Column("camera", String),
    Column("state", String),
    Column("reason", String),
    Column("detail", String),
    Column("last_captured_at", DateTime(timezone=True)),
    Column("covered_s", Float),
    Column("analysed", BigInteger),
    Column("dropped", BigInteger),
    Column("lag_p95_ms", Float),
    Column("interval_s", Float),
)
_KEY = ("edge", "camera")
_NAMES = tuple(each.name for each in _SAID)


def keep_health(
    database: Database, session: Session, said: Iterable[tuple[str, CameraHealth]], now: datetime
) -> Sequence[tuple[str, str, str]]:
    """Keep the health of cameras of boxes, of each the last that was said; a new camera is entered.

    Returns:
        box, camera and state of each whose state or reason has changed.

    """
    newest = {(edge, health.camera): health for edge, health in said}
    if not newest:
        return []
    stamp = _naive if database.is_sqlite else _iso
    rows = [
        {
            "edge": edge,
            "camera": camera,
            "state": health.state,
            "reason": health.reason,
            "detail": health.detail,
            "last_captured_at": stamp(health.last_captured_at),
            "covered_s": health.covered_s,
            "analysed": health.analysed,
            "dropped": health.dropped,
            "lag_p95_ms": health.lag_p95_ms,
            "interval_s": health.interval_s,
        }
        for (edge, camera), health in sorted(newest.items())
    ]
    session.execute(_upsert(database, json.dumps(rows), now))
    changed = select(Camera.edge, Camera.camera, Camera.state).where(
        Camera.edge.in_(sorted({edge for edge, _ in newest})), Camera.state_since == now
    )
    return [row for row in session.execute(changed) if row[:2] in newest]


def _upsert(database: Database, document: str, now: datetime) -> Any:
    since = literal(now, UtcDateTime())
    rows = _sqlite_rows(document) if database.is_sqlite else _postgresql_rows(document)
    insert: Any = database.insert(Camera).from_select(
        [*_NAMES, "state_since", "reported_at"],
        select(*rows, since, since).where(true()),
        include_defaults=False,
    )
    new = insert.excluded
    other = or_(Camera.state.is_distinct_from(new.state), Camera.reason.is_distinct_from(new.reason))
    return insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={name: new[name] for name in (*_NAMES, "reported_at") if name not in _KEY}
        | {"state_since": case((other, new.state_since), else_=Camera.state_since)},
    )


def _postgresql_rows(document: str) -> list[Any]:
    rows = func.json_to_recordset(cast(literal(document, String), JSON)).table_valued(*_SAID)
    derived = rows.render_derived(with_types=True)
    return [derived.c[name] for name in _NAMES]


def _sqlite_rows(document: str) -> list[Any]:
    rows = func.json_each(document).table_valued(column("value", String))
    return [func.json_extract(rows.c.value, f"$.{name}") for name in _NAMES]


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def _naive(at: datetime | None) -> str | None:
    """Write a time as the column of SQLite does."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if at is not None else None
