"""What people report from the spot: an alert that a person raises, on the same way as one of a box.

It is of an item of the catalogue. Where an open incident of the same kind is near, it joins that; otherwise
it makes one, filed under the flow that the reporter chose or the first of its item.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from alerts.apply import apply_message
from alerts.areas.placing import areas_now
from alerts.catalogue.filing import LoadedCatalogue, catalogue_now
from alerts.catalogue.model import Flow
from alerts.correlate import REPORTS
from alerts.messages import AlertMessage, ClockState, Evidence, EvidenceRole, Kind, Phase, Position
from alerts.outbox import Target
from alerts.services.errors import Conflict, Invalid
from alerts.services.locked import changing, find_incident
from alerts.services.rows import incident_summary
from alerts.services.views import IncidentSummary, UserView
from alerts.states import IllegalTransition, State
from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Alert, Camera, EvidenceBlob
from towerwatch.timebase import utc_now

MAX_NOTE = 256
MAX_PICTURES = 8
NO_BOX = "0" * 32
RULE = "report/1"
# a flow may be chosen until departments have been given its limits
CHOOSING = frozenset({State.TO_VERIFY, State.FILED})


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody saw.

    Attributes:
        item: its four digits in the catalogue.
        flow: its six digits, where the reporter chose one.
        accuracy_m: within which the place is known (95 %).
        pictures: digests of pictures in the evidence store.
        report_id: minted by the reporter's phone; a repeat of the same is the same report.

    """

    item: str
    lat_deg: float
    lon_deg: float
    accuracy_m: float
    note: str
    pictures: tuple[str, ...]
    flow: str | None = None
    report_id: str | None = None


class ReportService:
    """Take reports, and file incidents under other flows of their items."""

    def __init__(self, database: Database, targets: Sequence[Target] = ()) -> None:
        """Keep the database, and who is told."""
        self._database = database
        self._targets = targets

    def report(self, report: Report, *, user: UserView) -> IncidentSummary:
        """Take a report; return the incident that it made or joined.

        Raises:
            Invalid: no such item or flow, no picture or too many, too long a note, or a place that is
                outside of the reporter's area.
            Conflict: the id is that of something else.

        """
        _check(report)
        now, alert_id = utc_now(), report.report_id or uuid.uuid4().hex
        with self._database.write() as session:
            known = session.get(Alert, alert_id)
            if known is None:
                _check_area(session, report, user)
                catalogue = _catalogue(session)
                flow = _flow_of(catalogue, report)
                message = _message(session, report, alert_id, _kind(catalogue, flow), now)
                under = (catalogue.version, flow.code)
                apply_message(self._database, session, message, now, self._targets, under=under)
                known = session.get_one(Alert, alert_id)
                known.reporter = user.name
                detail = {"item": report.item, "flow": flow.code, "note": report.note, "alert_id": alert_id}
                journal.entry(session, known.incident_id, user.name, "reported", detail=detail)
            elif known.reporter != user.name:
                raise Conflict.of("report_of_another", report=alert_id, user=user.name)
            row = find_incident(session, known.incident_id)
            return incident_summary(row, session.get(Camera, (row.edge, row.camera)))

    def choose_flow(
        self, incident_id: int, code: str, *, user: str, version: int | None = None
    ) -> IncidentSummary:
        """File an incident under another flow of its item, of the catalogue that counts now.

        Raises:
            NotFound: there is no such incident.
            Invalid: its item has no such flow.
            IllegalTransition: departments have been called, or it is over.
            Conflict: it has changed since ``version``.

        """
        with changing(self._database, incident_id, version) as (session, row):
            if State(row.state) not in CHOOSING:
                raise IllegalTransition.of("flow_too_late", state=State(row.state))
            catalogue = _catalogue(session)
            first = catalogue.flow_of_kind(Kind(row.kind))
            item = row.flow[:4] if row.flow is not None else first.item if first is not None else None
            flow = catalogue.flows.get(code)
            if flow is None or flow.item != item:
                if item is None:
                    raise Invalid.of("no_item_of_kind", kind=row.kind)
                raise Invalid.of("no_flow", flow=code, item=item)
            detail = {"flow": code, "before": row.flow}
            row.catalogue, row.flow = catalogue.version, code
            row.version += 1
            row.updated_at = utc_now()
            journal.entry(session, row.id, user, "flow", detail=detail)
            journal.changed(session, "incident", str(row.id), "flow")
            session.flush()
            return incident_summary(row, session.get(Camera, (row.edge, row.camera)))


def _check(report: Report) -> None:
    if not 1 <= len(set(report.pictures)) <= MAX_PICTURES:
        raise Invalid.of("pictures_count", count=len(set(report.pictures)), most=MAX_PICTURES)
    if len(report.note) > MAX_NOTE:
        raise Invalid.of("note_long", count=len(report.note), most=MAX_NOTE)


def _check_area(session: Session, report: Report, user: UserView) -> None:
    if user.area is None:
        return
    if user.area not in {area.id for area in areas_now(session).at(report.lat_deg, report.lon_deg)}:
        raise Invalid.of("outside_area", lat=report.lat_deg, lon=report.lon_deg, area=user.area)


def _catalogue(session: Session) -> LoadedCatalogue:
    found = catalogue_now(session)
    if found is None:
        raise Invalid.of("no_catalogue")
    return found


def _flow_of(catalogue: LoadedCatalogue, report: Report) -> Flow:
    flows = [flow for flow in catalogue.catalogue.flows if flow.item == report.item]
    if not flows:
        raise Invalid.of("no_item", item=report.item)
    found = next((flow for flow in flows if report.flow in {None, flow.code}), None)
    if found is None:
        raise Invalid.of("no_flow", flow=report.flow, item=report.item)
    return found


def _kind(catalogue: LoadedCatalogue, flow: Flow) -> Kind:
    """Return what the alerts of an item are, so that people and cameras see the same incident."""
    return next(iter(catalogue.items[flow.item].kinds), Kind.REPORTED)


def _message(session: Session, report: Report, alert_id: str, kind: Kind, now: datetime) -> AlertMessage:
    accuracy = max(1.0, report.accuracy_m)
    return AlertMessage(
        alert_id=alert_id,
        phase=Phase.OPENED,
        phase_seq=0,
        outbox_id=NO_BOX,
        outbox_seq=1,
        boot_id=NO_BOX,
        site=REPORTS,
        edge=REPORTS,
        camera=REPORTS,
        kind=kind,
        zone=report.item,
        place_key=alert_id,
        started_at=now,
        captured_at=now,
        clock=ClockState(synchronised=True),
        confidence=1.0,
        position=Position(
            lat_deg=report.lat_deg,
            lon_deg=report.lon_deg,
            semi_major_m=accuracy,
            semi_minor_m=accuracy,
            orientation_deg=0,
        ),
        reason=report.note or None,
        evidence=tuple(_evidence(session, sha256, now) for sha256 in dict.fromkeys(report.pictures)),
        rule=RULE,
    )


def _evidence(session: Session, sha256: str, now: datetime) -> Evidence:
    blob = session.get(EvidenceBlob, sha256)
    if blob is None or blob.deleted_at is not None or not blob.media_type.startswith("image/"):
        raise Invalid.of("picture_missing", sha256=sha256)
    about = {"sha256": sha256, "bytes": blob.bytes, "media_type": blob.media_type, "captured_at": now}
    return Evidence.model_validate({"role": EvidenceRole.CONTEXT_T0, **about})
