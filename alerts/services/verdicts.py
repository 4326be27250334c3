"""Verdicts of people, per alert and per box; the newest counts, the older ones stay as history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alerts.services.errors import Invalid, NotFound
from alerts.services.rows import verdict_view
from alerts.services.views import VerdictValue, VerdictView
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Alert, AlertPhase, Verdict
from alerts.texts import DISMISS_REASONS, VERDICTS
from towerwatch.timebase import utc_now

WHOLE = -1
MAX_NOTE = 512


class VerdictService:
    """Give and read verdicts."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def judge_alert(
        self, alert_id: str, verdict: VerdictValue, *, user: str, reason: str | None = None, note: str = ""
    ) -> VerdictView:
        """Judge a whole alert.

        Raises:
            NotFound: there is no such alert.
            Invalid: unknown verdict or reason, or too long a note.

        """
        check(verdict, reason, note)
        with self._database.write() as session:
            alert = _alert(session, alert_id)
            row = record(session, alert, verdict, user=user, reason=reason, note=note)
            journal.changed(session, "incident", str(alert.incident_id), "verdict")
            return verdict_view(row)

    def judge_box(
        self,
        alert_id: str,
        phase_seq: int,
        box_index: int,
        verdict: VerdictValue,
        *,
        user: str,
        reason: str | None = None,
    ) -> VerdictView:
        """Judge one box: ``box_index`` of the boxes that phase ``phase_seq`` of the alert carried.

        Raises:
            NotFound: there is no such alert, phase or box.
            Invalid: unknown verdict or reason.

        """
        check(verdict, reason, "")
        with self._database.write() as session:
            alert = _alert(session, alert_id)
            phase = session.get(AlertPhase, (alert_id, phase_seq))
            if phase is None or not 0 <= box_index < len(phase.boxes):
                msg = f"alert {alert_id} has no box {box_index} in phase {phase_seq}"
                raise NotFound(msg)
            row = record(session, alert, verdict, user=user, reason=reason, at_box=(phase_seq, box_index))
            journal.changed(session, "incident", str(alert.incident_id), "verdict")
            return verdict_view(row)

    def of_alert(self, alert_id: str) -> tuple[VerdictView, ...]:
        """Return the verdicts that count for one alert; raise :class:`NotFound` without one."""
        with self._database.read() as session:
            _alert(session, alert_id)
            return tuple(verdict_view(row) for row in current(session, [alert_id]))


def check(verdict: str, reason: str | None, note: str) -> None:
    """Refuse what is not in the tables of :mod:`alerts.texts`."""
    if verdict not in VERDICTS:
        msg = f"verdict {verdict!r}: one of {', '.join(VERDICTS)}"
        raise Invalid(msg)
    if reason is not None and reason not in DISMISS_REASONS:
        msg = f"reason {reason!r}: one of {', '.join(DISMISS_REASONS)}"
        raise Invalid(msg)
    if len(note) > MAX_NOTE:
        raise Invalid.of("note_long", count=len(note), most=MAX_NOTE)


def record(
    session: Session,
    alert: Alert,
    verdict: str,
    *,
    user: str,
    reason: str | None,
    note: str = "",
    at_box: tuple[int, int] = (WHOLE, WHOLE),
    implied: bool = False,
) -> Verdict:
    """Add a verdict within the caller's transaction, with its line in the timeline."""
    phase_seq, box_index = at_box
    row = Verdict(
        alert_id=alert.id,
        phase_seq=phase_seq,
        box_index=box_index,
        verdict=verdict,
        implied=implied,
        reason=reason,
        note=note,
        user_name=user,
        at=utc_now(),
    )
    session.add(row)
    session.flush()
    detail: dict[str, Any] = {"alert_id": alert.id, "verdict": verdict, "reason": reason}
    if box_index != WHOLE:
        detail |= {"phase_seq": phase_seq, "box_index": box_index}
    if not implied:  # the confirm or dismiss that implies it has a line of its own
        journal.entry(session, alert.incident_id, user, "verdict", detail=detail)
    return row


def current(session: Session, alert_ids: Sequence[str]) -> Iterable[Verdict]:
    """Return the newest verdict of each alert and box among ``alert_ids``."""
    newest = (
        select(func.max(Verdict.id))
        .where(Verdict.alert_id.in_(alert_ids))
        .group_by(Verdict.alert_id, Verdict.phase_seq, Verdict.box_index)
    )
    return session.scalars(select(Verdict).where(Verdict.id.in_(newest)).order_by(Verdict.id))


def _alert(session: Session, alert_id: str) -> Alert:
    alert = session.get(Alert, alert_id)
    if alert is None:
        msg = f"there is no alert {alert_id}"
        raise NotFound(msg)
    return alert
