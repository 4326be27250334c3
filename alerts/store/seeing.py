"""When cameras and boxes changed from one state to another: what coverage by hour is worked out from.

A city of 71,591 cameras would need 1.7 million rows a day for its hours; its changes are a small part of
that. A camera's state is what its box says of it. A box is a row's camera :data:`BOX`, which is ``online`` or
``offline`` (away): one row instead of one for each of its cameras.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, literal, select
from sqlalchemy.orm import Session, aliased

from alerts.store.base import UtcDateTime
from alerts.store.database import Database
from alerts.store.tables import Camera, CameraStateChange

BOX = ""  # in place of a camera: the box itself
ONLINE, OFFLINE = "online", "offline"


def note_cameras(database: Database, session: Session, boxes: Collection[str], now: datetime) -> None:
    """Keep the states of cameras of some boxes that changed ``now``; the same state as before is none."""
    before = (
        select(CameraStateChange.state)
        .where(CameraStateChange.edge == Camera.edge, CameraStateChange.camera == Camera.camera)
        .order_by(CameraStateChange.at.desc())
        .limit(1)
        .scalar_subquery()
    )
    changed = select(Camera.edge, Camera.camera, literal(now, UtcDateTime()), Camera.state).where(
        Camera.edge.in_(boxes), Camera.state_since == now, func.coalesce(before, "") != Camera.state
    )
    insert: Any = database.insert(CameraStateChange).from_select(["edge", "camera", "at", "state"], changed)
    session.execute(
        insert.on_conflict_do_update(
            index_elements=("edge", "camera", "at"), set_={"state": insert.excluded.state}
        )
    )


def note_box(session: Session, edge: str, at: datetime, *, online: bool) -> None:
    """Keep that a box came back, or was last heard of."""
    session.merge(CameraStateChange(edge=edge, camera=BOX, at=at, state=ONLINE if online else OFFLINE))


def forget_changes(session: Session, before: datetime) -> None:
    """Delete changes that another one followed before a time: the state at that time stays known."""
    later = aliased(CameraStateChange)
    followed = exists().where(
        later.edge == CameraStateChange.edge,
        later.camera == CameraStateChange.camera,
        later.at > CameraStateChange.at,
        later.at <= before,
    )
    session.execute(
        delete(CameraStateChange)
        .where(CameraStateChange.at < before, followed)
        .execution_options(synchronize_session=False)
    )
