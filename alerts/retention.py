"""How long pictures, clips and the states of cameras are kept.

Pictures and clips by kind and age, and within a quota; those of open incidents stay.

What is deleted stays known: its digest, when it went and why are kept and audited, and a box that sends it
again is heard.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, exists, func, literal, or_, select, update
from sqlalchemy.exc import DBAPIError

from alerts.config import EvidenceSettings
from alerts.evidence import BlobStore
from alerts.messages import Kind
from alerts.store import audit, journal
from alerts.store.base import UtcDateTime
from alerts.store.database import Database
from alerts.store.seeing import forget_changes
from alerts.store.tables import Alert, EvidenceBlob, EvidenceRef, Incident, IncidentPicture
from alerts.thread_part import ThreadPart
from towerwatch.logs import get_logger
from towerwatch.timebase import utc_now

EVERY_S = 600.0
AT_ONCE = 200
KEEP_STATES = timedelta(days=30)
# what has just come may be evidence of an alert that is still on its way, or proof not handed in yet
GRACE = timedelta(days=1)
QUOTA_LOW_FRAC = 0.95  # down to this part of the quota, so that not every new picture costs a deletion

OverSince = Mapping[Kind | None, datetime]
"""Since when an incident must be over, by kind; None stands for all other kinds."""

log = get_logger(__name__)


class Keeper(ThreadPart):
    """The thread that keeps the evidence store within its bounds, where the files lie."""

    def __init__(
        self, database: Database, store: BlobStore, settings: EvidenceSettings, forget: Callable[[str], None]
    ) -> None:
        """Keep what it needs; ``forget`` drops what was derived from a file."""
        super().__init__("keeper")
        self._database = database
        self._store = store
        self._settings = settings
        self._forget = forget

    def prune(self, now: datetime) -> int:
        """Delete what is too old, then what is too much; return how many files."""
        over_since: dict[Kind | None, datetime] = {None: now - timedelta(days=self._settings.keep_days)}
        for kind, days in self._settings.keep_days_by_kind.items():
            over_since[kind] = now - timedelta(days=days)
        old = self._delete("age", over_since, lambda _bytes: True)
        quota = self._settings.quota_gib * 2**30
        over = self._stored_bytes() - quota
        if over <= 0:
            return old
        left = over + (1 - QUOTA_LOW_FRAC) * quota

        def more(freed: int) -> bool:
            return freed < left

        much = self._delete("quota", {None: now}, more)
        if (still := self._stored_bytes() - quota) > 0:
            log.error("evidence exceeds its quota, and all of it belongs to open incidents", over_bytes=still)
        return old + much

    def prune_states(self, now: datetime) -> None:
        """Forget when cameras changed their state, what is older than coverage is shown for."""
        with self._database.write() as session:
            forget_changes(session, now - KEEP_STATES)

    def _stored_bytes(self) -> int:
        total = select(func.coalesce(func.sum(EvidenceBlob.bytes), 0)).where(
            EvidenceBlob.deleted_at.is_(None)
        )
        with self._database.read() as session:
            return int(session.scalar(total) or 0)

    def _delete(self, why: str, over_since: OverSince, more: Callable[[int], bool]) -> int:
        """Delete the oldest of what only incidents over since then hold, while ``more`` (bytes) says so."""
        count = freed = 0
        newest = min(max(over_since.values()), utc_now() - GRACE)
        query = (
            select(EvidenceBlob.sha256, EvidenceBlob.bytes)
            .where(EvidenceBlob.deleted_at.is_(None), EvidenceBlob.received_at < newest, ~_held(over_since))
            .order_by(EvidenceBlob.received_at, EvidenceBlob.sha256)
            .limit(AT_ONCE)
        )
        while more(freed) and not self._stop.is_set():
            with self._database.read() as session:
                found = session.execute(query).all()
            chosen = []
            for sha256, size in found:
                if not more(freed):
                    break
                chosen.append(sha256)
                freed += size
            if not chosen:
                break
            self._remove(chosen, why)
            count += len(chosen)
        if count:
            log.info("evidence deleted", why=why, files=count, bytes=freed)
        return count

    def _remove(self, digests: Sequence[str], why: str) -> None:
        # files first: if this is cut off, the rows are found again and nothing is left on the disk
        for sha256 in digests:
            self._store.remove(sha256)
            self._forget(sha256)
        with self._database.write() as session:
            gone = update(EvidenceBlob).where(EvidenceBlob.sha256.in_(digests)).values(deleted_at=utc_now())
            session.execute(gone)
            detail = {"why": why, "sha256": list(digests)}
            audit.record(session, journal.SYSTEM, "delete", "evidence", detail)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(1.0):
            if time.monotonic() < due:
                continue
            due = time.monotonic() + EVERY_S
            try:
                self.prune(utc_now())
                self.prune_states(utc_now())
            except (DBAPIError, OSError) as error:
                log.warning("evidence or states cannot be pruned yet", error=str(error))


def _held(over_since: OverSince) -> ColumnElement[bool]:
    """Say that a file belongs to an incident that is open, or not over for long enough."""
    of_kind = {str(kind): literal(at, UtcDateTime()) for kind, at in over_since.items() if kind is not None}
    of_others = literal(over_since[None], UtcDateTime())
    since = case(of_kind, value=Incident.kind, else_=of_others) if of_kind else of_others
    recent = or_(Incident.open.is_(True), Incident.state_at >= since)
    by_alert = (
        select(EvidenceRef.id)
        .join(Alert, Alert.id == EvidenceRef.alert_id)
        .join(Incident, Incident.id == Alert.incident_id)
        .where(EvidenceRef.sha256 == EvidenceBlob.sha256, recent)
    )
    by_picture = (
        select(IncidentPicture.id)
        .join(Incident, Incident.id == IncidentPicture.incident_id)
        .where(IncidentPicture.sha256 == EvidenceBlob.sha256, recent)
    )
    return or_(exists(by_alert), exists(by_picture))
