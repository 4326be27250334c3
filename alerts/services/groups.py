"""Which alerts are one incident, where a person knows better than correlation: merge and split."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.apply import refresh_incident
from alerts.moves import file_unverified, move
from alerts.outbox import Target, owe
from alerts.services.errors import Conflict, Invalid, NotFound
from alerts.services.locked import find_incident
from alerts.services.rights import EVERYWHERE, Within, sees
from alerts.services.rows import incident_summary
from alerts.services.views import IncidentSummary
from alerts.states import Action, IllegalTransition, State
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Alert, Camera, Incident
from towerwatch.timebase import utc_now

MERGED = "duplicate"
MAX_ALERTS = 500


class GroupService:
    """Join incidents that are one, and part what is two."""

    def __init__(self, database: Database, targets: Sequence[Target] = ()) -> None:
        """Keep the database, and who is told."""
        self._database = database
        self._targets = targets

    def merge(
        self,
        incident_id: int,
        into_id: int,
        *,
        user: str,
        version: int | None = None,
        within: Within = EVERYWHERE,
    ) -> IncidentSummary:
        """Move all alerts of an incident into another of its kind, and dismiss it as a duplicate.

        Nothing is said of its alerts: they are as true as those they join.

        Raises:
            NotFound: one of the two does not exist, or the second is not seen ``within`` the user's part of
                the city.
            Invalid: both are the same, or of different kinds.
            IllegalTransition: departments are at work in the first, or one of the two is over.
            Conflict: the first has changed since ``version``, or an alert just joined it.

        """
        if incident_id == into_id:
            raise Invalid.of("merge_itself", incident=incident_id)
        with self._database.write() as session:
            if not sees(session, within, incident_id=into_id):
                raise NotFound.of("merge_unseen", into=into_id)
            alerts = self._lock_alerts(session, incident_id)
            rows = {key: find_incident(session, key, lock=True) for key in sorted((incident_id, into_id))}
            gone, kept = rows[incident_id], rows[into_id]
            _check_version(gone, version)
            if gone.kind != kept.kind:
                raise Invalid.of(
                    "merge_other_kind", incident=incident_id, kind=gone.kind, into=into_id, other=kept.kind
                )
            if not kept.open:
                raise IllegalTransition.of("reopen_first", incident=into_id, state=State(kept.state))
            _check_unchanged(session, gone, alerts)
            ids = [alert.id for alert in alerts]
            move(session, gone, Action.MERGE, user, reason=MERGED, detail={"into": into_id, "alerts": ids})
            gone.merged_into = into_id
            gone.alert_count = gone.open_alert_count = 0
            _hand_over(session, alerts, kept)
            journal.entry(session, kept.id, user, "merged", detail={"from": incident_id, "alerts": ids})
            journal.changed(session, "incident", str(kept.id), "merged")
            session.flush()
            return incident_summary(kept, session.get(Camera, (kept.edge, kept.camera)))

    def split(
        self, incident_id: int, alert_ids: Sequence[str], *, user: str, version: int | None = None
    ) -> IncidentSummary:
        """Make a new incident, to be verified, of some of the alerts of an open one; return the new one.

        Raises:
            NotFound: there is no such incident.
            Invalid: no alert, all of them, or one that is not in the incident.
            IllegalTransition: the incident is over.
            Conflict: it has changed since ``version``, or an alert just joined it.

        """
        wanted = set(alert_ids)
        with self._database.write() as session:
            alerts = self._lock_alerts(session, incident_id)
            row = find_incident(session, incident_id, lock=True)
            _check_version(row, version)
            if not row.open:
                raise IllegalTransition.of("reopen_first", incident=incident_id, state=State(row.state))
            _check_unchanged(session, row, alerts)
            if strange := sorted(wanted - {alert.id for alert in alerts}):
                msg = f"alert {strange[0]} is not in incident {incident_id}"
                raise Invalid(msg)
            if not 0 < len(wanted) < len(alerts):
                msg = f"{len(wanted)} of {len(alerts)} alerts: at least one must go and one stay"
                raise Invalid(msg)
            moving = [alert for alert in alerts if alert.id in wanted]
            made = self._part(session, row, moving, user)
            refresh_incident(session, row, self._targets)
            journal.changed(session, "incident", str(row.id), "split")
            session.flush()
            return incident_summary(made, session.get(Camera, (made.edge, made.camera)))

    def _lock_alerts(self, session: Session, incident_id: int) -> list[Alert]:
        """Take the locks in the order in which applying takes them: alerts first, then the incident."""
        ids = session.scalars(
            select(Alert.id).where(Alert.incident_id == incident_id).order_by(Alert.id).limit(MAX_ALERTS + 1)
        ).all()
        if len(ids) > MAX_ALERTS:
            msg = f"incident {incident_id} has more than {MAX_ALERTS} alerts"
            raise Invalid(msg)
        self._database.lock_all(session, [f"alert {alert_id}" for alert_id in ids])
        alerts = select(Alert).where(Alert.incident_id == incident_id).order_by(Alert.id)
        return list(session.scalars(alerts))

    def _part(self, session: Session, row: Incident, moving: list[Alert], user: str) -> Incident:
        first, now = moving[0], utc_now()
        made = Incident(
            kind=row.kind,
            state=State.DETECTED,
            state_at=now,
            open=True,
            correlation_key=row.correlation_key,
            site=first.site,
            edge=first.edge,
            camera=first.camera,
            zone=first.zone,
            started_at=first.started_at,
            last_seen_at=first.captured_at,
            created_at=now,
            updated_at=now,
            confidence=first.confidence,
            alert_count=0,
            open_alert_count=0,
            version=0,
        )
        session.add(made)
        session.flush()
        ids = [alert.id for alert in moving]
        states = (None, State.DETECTED)
        journal.entry(
            session, made.id, user, "detected", states=states, detail={"from": row.id, "alerts": ids}
        )
        move(session, made, Action.SUBMIT, journal.SYSTEM)
        _hand_over(session, moving, made)
        journal.entry(session, row.id, user, "split", detail={"into": made.id, "alerts": ids})
        owe(session, self._targets, "incident.created", made, more={"alert_id": first.id, "evidence": []})
        file_unverified(session, made, self._targets)
        return made


def _hand_over(session: Session, alerts: Sequence[Alert], to: Incident) -> None:
    for alert in alerts:
        alert.incident_id = to.id
    session.flush()
    refresh_incident(session, to)


def _check_version(row: Incident, version: int | None) -> None:
    if version is not None and row.version != version:
        raise Conflict.of("incident_changed", incident=row.id, now=row.version, version=version)


def _check_unchanged(session: Session, row: Incident, alerts: Sequence[Alert]) -> None:
    now = session.scalars(select(Alert.id).where(Alert.incident_id == row.id)).all()
    if set(now) != {alert.id for alert in alerts}:
        raise Conflict.of("alert_joined", incident=row.id)
