"""The health of many boxes and cameras in one statement each: the database takes one JSON document apart.

A fleet of 4,475 boxes reports 2,400 cameras a second; a statement, an object or even a row of parameters for
each would cost more than all the rest of central.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    String,
    case,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from alerts.messages import CameraHealth, HealthMessage
from alerts.store.base import UtcDateTime
from alerts.store.database import Database
from alerts.store.tables import Camera, Edge

_TIME = DateTime(timezone=True)
# what a message says of a camera, as the columns of its row; its box stands above it in the document
_OF_CAMERA: tuple[Column[Any], ...] = (
    Column("camera", String),
    Column("state", String),
    Column("reason", String),
    Column("detail", String),
    Column("last_captured_at", _TIME),
    Column("covered_s", Float),
    Column("analysed", BigInteger),
    Column("dropped", BigInteger),
    Column("lag_p95_ms", Float),
    Column("interval_s", Float),
    Column("gap_p95_s", Float),
)
_CAMERA_NAMES = tuple(each.name for each in _OF_CAMERA)
# and of a box
_OF_BOX: tuple[Column[Any], ...] = (
    Column("id", String),
    Column("health_at", _TIME),
    Column("health_period_s", Float),
    Column("boot_id", String),
    Column("version", String),
    Column("clock_synchronised", Boolean),
    Column("clock_offset_ms", Float),
    Column("outbox", JSON().with_variant(JSONB(), "postgresql")),
    Column("disk_free_bytes", BigInteger),
    Column("workers_restarted", Integer),
    Column("config_sha256", String),
    Column("stretch", Float),
)
_DOCUMENT = TypeAdapter(dict[str, list[CameraHealth]])


def keep_boxes(
    database: Database, session: Session, said: Mapping[str, HealthMessage], now: datetime
) -> None:
    """Keep what health messages say of boxes that are known, by the box's id."""
    rows = [
        {
            "id": edge,
            "health_at": message.at.isoformat(),
            "health_period_s": message.period_s,
            "boot_id": message.boot_id,
            "version": message.version,
            "clock_synchronised": message.clock.synchronised,
            "clock_offset_ms": message.clock.offset_ms,
            "outbox": message.outbox.model_dump(mode="json"),
            "disk_free_bytes": message.disk_free_bytes,
            "workers_restarted": message.workers_restarted,
            "config_sha256": message.config_sha256,
            "stretch": message.stretch,
        }
        for edge, message in said.items()
    ]
    if not rows:
        return
    document = json.dumps(rows)
    new: Any = _rows(database, literal(document, String), _OF_BOX)
    values = _values(database, new, _OF_BOX)
    edges: Any = Edge.__table__
    session.execute(
        update(edges)
        .where(edges.c.id == values.pop("id"))
        .values(values | {"health_received_at": literal(now, UtcDateTime())})
    )


def keep_cameras(
    database: Database, session: Session, said: Iterable[tuple[str, CameraHealth]], now: datetime
) -> Sequence[tuple[str, str, str]]:
    """Keep the health of cameras of boxes, of each the last that was said; a new camera is entered.

    Returns:
        box, camera and state of each whose state or reason has changed.

    """
    newest = {(edge, health.camera): health for edge, health in said}
    if not newest:
        return []
    by_box: dict[str, list[CameraHealth]] = defaultdict(list)
    for (edge, _camera), health in sorted(newest.items()):  # rows are locked in one order
        by_box[edge].append(health)
    session.execute(_upsert(database, _DOCUMENT.dump_json(by_box).decode(), now))
    changed = select(Camera.edge, Camera.camera, Camera.state).where(
        Camera.edge.in_(by_box), Camera.state_since == now
    )
    return [row for row in session.execute(changed) if row[:2] in newest]


def _upsert(database: Database, document: str, now: datetime) -> Any:
    since = literal(now, UtcDateTime())
    boxes = _each_box(database, document)
    cameras = _rows(database, boxes.c.value, _OF_CAMERA)
    values = _values(database, cameras, _OF_CAMERA)
    insert: Any = database.insert(Camera).from_select(
        ["edge", *values, "state_since", "reported_at"],
        select(boxes.c.key, *values.values(), since, since).select_from(boxes, cameras).where(true()),
        include_defaults=False,
    )
    new = insert.excluded
    other = or_(Camera.state.is_distinct_from(new.state), Camera.reason.is_distinct_from(new.reason))
    return insert.on_conflict_do_update(
        index_elements=("edge", "camera"),
        set_={name: new[name] for name in (*_CAMERA_NAMES, "reported_at") if name != "camera"}
        | {"state_since": case((other, new.state_since), else_=Camera.state_since)},
    )


def _each_box(database: Database, document: str) -> Any:
    """Take an object of boxes apart into ``key`` and ``value``."""
    text: Any = literal(document, String)
    each = func.json_each(text if database.is_sqlite else cast(text, JSON))
    return each.table_valued(column("key", String), column("value", JSON), name="boxes")


def _rows(database: Database, document: Any, columns: Sequence[Column[Any]]) -> Any:
    """Take an array of objects apart into rows."""
    if database.is_sqlite:
        return func.json_each(document).table_valued(
            column("value", String), name="said", joins_implicitly=True
        )
    rows = func.json_to_recordset(cast(document, JSON)).table_valued(
        *columns, name="said", joins_implicitly=True
    )
    return rows.render_derived(with_types=True)


def _values(database: Database, rows: Any, columns: Sequence[Column[Any]]) -> dict[str, Any]:
    """Return what the rows of :func:`_rows` hold, by name."""
    if not database.is_sqlite:
        return {each.name: rows.c[each.name] for each in columns}
    return {each.name: _sqlite_value(rows.c.value, each) for each in columns}


def _sqlite_value(said: Any, each: Column[Any]) -> Any:
    value = func.json_extract(said, f"$.{each.name}")
    # as SQLAlchemy writes times, in UTC; SQLite reads no more than milliseconds
    return func.strftime("%Y-%m-%d %H:%M:%f000", value) if each.type is _TIME else value
