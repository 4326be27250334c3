"""How long a camera was seeing in each hour, worked out from its changes of state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.messages import Freshness
from alerts.services.views import HourView
from alerts.store.database import Database
from alerts.store.seeing import BOX, OFFLINE
from alerts.store.tables import CameraStateChange

HOUR = timedelta(hours=1)
Changes = Sequence[tuple[datetime, str]]
_SPENT: dict[str, str] = {Freshness.FRESH: "seeing", Freshness.NIGHT: "night"}


def hours_of(database: Database, edge: str, camera: str, now: datetime, days: int) -> tuple[HourView, ...]:
    """Return the hours of the last ``days``, the one that runs last; time before the first health is in none.

    Time of a box away counts as away, whatever it last said of its cameras.
    """
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=days) + HOUR
    with database.read() as session:
        own = _changes(session, edge, camera, first, now)
        box = _changes(session, edge, BOX, first, now)
    starts = [first + HOUR * number for number in range(24 * days)]
    spent = {start: {"seeing": 0.0, "night": 0.0, "blind": 0.0, "away": 0.0} for start in starts}
    cuts = sorted({max(at, first) for at, _state in (*own, *box)} | {*starts, now})
    for (since, until), state, of_box in zip(
        pairwise(cuts), _states(own, cuts), _states(box, cuts), strict=True
    ):
        if state is None:
            continue
        what = "away" if of_box == OFFLINE else _SPENT.get(state, "blind")
        hour = since.replace(minute=0, second=0, microsecond=0)
        spent[hour][what] += (until - since).total_seconds()
    return tuple(
        HourView(start=start, **{f"{what}_s": seconds for what, seconds in each.items()})
        for start, each in spent.items()
    )


def _changes(session: Session, edge: str, camera: str, first: datetime, now: datetime) -> Changes:
    """Return the changes from the last one before ``first`` on."""
    of_camera = select(CameraStateChange.at, CameraStateChange.state).where(
        CameraStateChange.edge == edge, CameraStateChange.camera == camera
    )
    former = of_camera.where(CameraStateChange.at <= first).order_by(CameraStateChange.at.desc()).limit(1)
    since = of_camera.where(CameraStateChange.at > first, CameraStateChange.at <= now)
    rows = (*session.execute(former), *session.execute(since.order_by(CameraStateChange.at)))
    return [(at, state) for at, state in rows]


def _states(changes: Changes, cuts: Sequence[datetime]) -> Iterator[str | None]:
    """Yield the state from each cut but the last on; None before anything is known."""
    state, number = None, 0
    for cut in cuts[:-1]:
        while number < len(changes) and changes[number][0] <= cut:
            state = changes[number][1]
            number += 1
        yield state
