"""What must be written together is written together: state, messages and evidence, in one transaction.

The supervisor is the one writer. When the disk is full, what came in waits here, bounded, and is
written as soon as there is room.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence

from alerts.messages import AlertMessage, ClockState, Evidence, Kind
from edge.episode import EpisodeEvent, EpisodePhase
from edge.evidence_index import EvidenceIndex
from edge.outbox import Outbox, closing, count_up
from edge.records import CameraRecord, Change, EvidenceRef
from edge.store import Store, StoreCorrupt
from edge.wire import SENT_PHASES, Sender, to_message
from towerwatch.errors import RetryableError
from towerwatch.logs import get_logger

log = get_logger(__name__)

MAX_PENDING_CHANGES = 20_000
MAX_EVIDENCE = 16
# a value that SQLite or the contract refuses, a broken rule of the schema: no later try will mend it
UNWRITABLE = (sqlite3.Error, ValueError)
NOBODY_WATCHES = "no longer watched under the present configuration"


class Journal:
    """Commits records. Not thread-safe: the supervisor's main loop owns it."""

    def __init__(
        self, store: Store, outbox: Outbox, index: EvidenceIndex, *, site: str, edge: str, boot_id: str
    ) -> None:
        """Store the parts."""
        self._store, self._outbox, self._index = store, outbox, index
        self._site, self._edge, self._boot_id = site, edge, boot_id
        self.clock: Callable[[], ClockState] = lambda: ClockState(synchronised=False)
        self._pending: list[CameraRecord] = []
        self.trouble = ""
        self.given_up = 0

    def add(self, records: Iterable[CameraRecord]) -> None:
        """Take records in; they count once :meth:`flush` has returned True."""
        self._pending += records

    def flush(self) -> bool:
        """Write everything that waits, in one transaction; return whether anything waits still.

        Never raises: what a full disk holds up waits; a damaged database is set aside, and what waits
        goes into the fresh one; a record that no database takes is given up, alone, and counted.
        """
        if not self._pending:
            return True
        try:
            self._write_all()
        except StoreCorrupt as error:
            self._failed(error)
            try:
                self._store.reopen()
            except RetryableError as again:
                self._failed(again)
            return False
        except RetryableError as error:
            self._failed(error)
            return False
        if self.trouble:
            log.warning("database can be written again")
        self.trouble = ""
        return True

    def _write_all(self) -> None:
        try:
            self._write(self._pending)
        except UNWRITABLE:
            self._write_apart()
        self._pending = []

    def _write_apart(self) -> None:
        """Write records one by one, and give those up that still cannot be written."""
        while self._pending:
            try:
                self._write(self._pending[:1])
            except UNWRITABLE:
                lost = sum(one.event.phase in SENT_PHASES for one in self._pending[0].changes)
                log.exception(
                    "record cannot be written, given up", camera=self._pending[0].camera, alerts=lost
                )
                self.given_up += len(self._pending[0].changes)
                with self._store.transaction() as connection:
                    count_up(connection, "dropped_alerts", lost)
            del self._pending[0]

    def _failed(self, error: RetryableError) -> None:
        if not self.trouble:
            log.error("database cannot be written, records wait in memory", why=str(error))
        self.trouble = str(error)
        self._pending = self._compact(self._pending)

    def _write(self, records: Sequence[CameraRecord]) -> None:
        clock = self.clock()
        sender = Sender(self._site, self._edge, self._store.outbox_id, self._boot_id)
        latest = {record.camera: record.state for record in records}
        with self._store.transaction() as connection:
            for record in records:
                for kept in record.kept:
                    self._index.keep(connection, kept.alert_id, kept.evidence)
                for change in record.changes:
                    self._change(connection, sender, clock, change)
            connection.executemany(
                "INSERT OR REPLACE INTO camera_state VALUES (?, ?, ?)",
                [(camera, state, time.time()) for camera, state in latest.items()],
            )

    def _change(
        self, connection: sqlite3.Connection, sender: Sender, clock: ClockState, change: Change
    ) -> None:
        event = change.event
        if event.phase not in SENT_PHASES:
            if event.phase is EpisodePhase.DISSOLVED:
                self._index.settle(connection, event.alert_id)
            for ref in change.evidence:
                self._index.keep(connection, event.alert_id, ref)
            return
        if event.phase is not EpisodePhase.OPENED and not _known(connection, event.alert_id):
            # the database that held its opening was damaged and set aside: open it once more;
            # central takes a phase that it has already as a repetition
            opening = dataclasses.replace(event, phase=EpisodePhase.OPENED, phase_seq=0, ended_at=None)
            self._send(connection, sender, clock, opening, ())
        self._send(connection, sender, clock, event, change.evidence)
        if event.phase is not EpisodePhase.UPDATED:
            self._index.settle(connection, event.alert_id)

    def _send(
        self,
        connection: sqlite3.Connection,
        sender: Sender,
        clock: ClockState,
        event: EpisodeEvent,
        refs: Sequence[EvidenceRef],
    ) -> None:
        refs = refs[:MAX_EVIDENCE]
        self._index.queue(connection, event.alert_id, refs)
        seq = self._outbox.reserve(connection)
        # what does not fit the contract must not hold up the rest: without its ornaments, or not at all
        bare = dataclasses.replace(event, boxes=(), measures={})
        for attempt in (event, bare):
            try:
                message = to_message(
                    attempt, sender, outbox_seq=seq, clock=clock, evidence=[_evidence(ref) for ref in refs]
                )
                self._outbox.put(connection, message)
            except ValueError as error:
                log.warning("alert does not fit the contract", alert=event.alert_id, why=str(error)[:500])
            else:
                return
        count_up(connection, "dropped_alerts")

    def close_unwatched(self, camera: str, open_ids: frozenset[str], *, blindness: bool) -> None:
        """Close alerts of a camera that nothing follows any more (its rule, zone or state is gone).

        Args:
            camera: camera id.
            open_ids: alerts of it that are still followed.
            blindness: close alerts of kind camera_blind (True) or of all other kinds (False).

        """
        try:
            for alert_id, last in self._outbox.open_of(camera).items():
                if alert_id not in open_ids and (last.kind is Kind.CAMERA_BLIND) is blindness:
                    self._close(last)
        except RetryableError as error:
            log.warning("alerts without a watch cannot be closed now", camera=camera, why=str(error))

    def _close(self, last: AlertMessage) -> None:
        with self._store.transaction() as connection:
            changed = {"outbox_seq": self._outbox.reserve(connection), "outbox_id": self._store.outbox_id}
            self._outbox.put(
                connection,
                closing(last, NOBODY_WATCHES).model_copy(
                    update={**changed, "boot_id": self._boot_id, "clock": self.clock()}
                ),
            )
            self._index.settle(connection, last.alert_id)
        log.warning("alert closed, nothing follows it any more", alert=last.alert_id, camera=last.camera)

    def _compact(self, records: list[CameraRecord]) -> list[CameraRecord]:
        """Merge what waits: one record a camera, with its latest state and all its changes, bounded."""
        merged: dict[str, CameraRecord] = {}
        for record in records:
            before = merged.get(record.camera)
            merged[record.camera] = CameraRecord(
                record.camera,
                record.state,
                (before.changes if before else ()) + record.changes,
                (before.kept if before else ()) + record.kept,
            )
        excess = sum(len(record.changes) for record in merged.values()) - MAX_PENDING_CHANGES
        for camera, record in merged.items():
            if excess <= 0:
                break
            keep = [change for change in record.changes if change.event.phase is not EpisodePhase.UPDATED]
            keep = keep[max(0, excess - (len(record.changes) - len(keep))) :]
            excess -= len(record.changes) - len(keep)
            self.given_up += len(record.changes) - len(keep)
            merged[camera] = dataclasses.replace(record, changes=tuple(keep), kept=())
        return list(merged.values())


def _known(connection: sqlite3.Connection, alert_id: str) -> bool:
    return connection.execute("SELECT 1 FROM alert WHERE alert_id=?", (alert_id,)).fetchone() is not None


def _evidence(ref: EvidenceRef) -> Evidence:
    return Evidence.model_validate(
        {
            "role": ref.role,
            "sha256": ref.sha256,
            "bytes": ref.bytes,
            "media_type": ref.media_type,
            "captured_at": ref.captured_at,
        }
    )
