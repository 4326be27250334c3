"""What a fleet's run is judged by: incidents as the API shows them, and the database's own books."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from alerts.store import audit
from alerts.store.database import Database
from alerts.store.tables import AlertPhase, InboxRow, Incident, Part, TimelineEntry
from benchmarks.fleet_load import OF_ITS_OWN, SITE
from benchmarks.latency import quantile
from benchmarks.report import Row
from towerwatch.secrets import Secret

LOOK_S = 0.25
SAMPLE_S = 1.0
PAGE = 50  # newest first: more than the city has new ones between two looks
_PATIENCE_S = 10.0  # for what was said last to become visible


class Watch(threading.Thread):
    """Looks at the list of incidents, newest first, as a program beside the console would."""

    def __init__(self, port: int, token: Secret | None, said: dict[tuple[str, str, str], float]) -> None:
        """Keep where to ask; the boxes fill ``said``: box, camera and start to the time of sending."""
        super().__init__(name="watch", daemon=True)
        self._port, self._said = port, said
        self._headers = {"Authorization": f"Bearer {token.reveal() if token else ''}"}
        self._visible: dict[tuple[str, str, str], float] = {}
        self._begun = time.monotonic()
        self._halted, self._looks = threading.Event(), threading.Event()

    def begin(self) -> None:
        """Look, and count what is said from now on."""
        self._begun = time.monotonic()
        self._looks.set()

    def result(self) -> Row:
        """Look no more; return how long it took what was said since :meth:`begin` to become visible."""
        said = {key: at for key, at in list(self._said.items()) if at >= self._begun}
        deadline = time.monotonic() + _PATIENCE_S
        while not said.keys() <= self._visible.keys() and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        self._looks.clear()
        took = [self._visible[key] - at for key, at in said.items() if key in self._visible]
        return {
            "visible_p50_s": round(quantile(took, 0.5), 3) if took else None,
            "visible_p95_s": round(quantile(took, 0.95), 3) if took else None,
            "watched": len(said),
            "unseen": len(said) - len(took),
        }

    def halt(self) -> None:
        """End."""
        self._halted.set()
        self.join()

    def run(self) -> None:
        """Look from :meth:`begin` to :meth:`result`, until :meth:`halt`; while nobody serves, look on."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._halted.wait(LOOK_S):
            if not self._looks.is_set():
                continue
            try:
                connection.request("GET", f"/api/v1/incidents?limit={PAGE}", headers=self._headers)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            if response.status == http.client.OK:
                self._note(json.loads(body), time.monotonic())
        connection.close()

    def _note(self, page: Row, now: float) -> None:
        for item in page["items"]:
            start = datetime.fromisoformat(item["started_at"]).isoformat()
            key = (item["edge"], item["camera"], start)
            if key in self._said:
                self._visible.setdefault(key, now)


@dataclass(frozen=True, slots=True)
class Committed:
    """What the consumer had committed, and when it said so (s since the epoch)."""

    messages: int
    received: int
    at_s: float


class Ledger:
    """Reads the database."""

    def __init__(self, url: str) -> None:
        """Connect when first asked."""
        self._database = Database(url)

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    def pending(self) -> int | None:
        """Count alert messages that are committed and not applied; None while nobody answers."""
        try:
            with self._database.read() as session:
                query = select(func.count()).select_from(InboxRow).where(InboxRow.state == "pending")
                return session.scalar(query)
        except DBAPIError:
            return None

    def committed(self, *, fresh: bool = False) -> Committed:
        """Return the consumer's newest count, which it writes every few seconds; ``fresh`` waits for one."""
        asked_s = time.time()
        while True:
            with self._database.read() as session:
                row = session.scalars(select(Part).where(Part.name.like("%consume"))).one()
            found = Committed(row.detail["committed"], row.detail["received"], row.beat_at.timestamp())
            if not fresh or found.at_s > asked_s:
                return found
            time.sleep(LOOK_S)

    def settle(self, said: set[tuple[str, int]]) -> Row:
        """Hold what boxes said against what stands in the database."""
        of_its_own = Incident.kind.in_(OF_ITS_OWN)
        with self._database.read() as session:
            ours = Incident.site == SITE
            phases = session.execute(select(AlertPhase.alert_id, AlertPhase.phase_seq))
            applied = {(alert_id, phase_seq) for alert_id, phase_seq in phases}
            spots, incidents = session.execute(
                select(func.count(Incident.correlation_key.distinct()), func.count()).where(ours, of_its_own)
            ).one()
            taken_in, alerts = session.execute(
                select(
                    func.count(), func.count(TimelineEntry.detail["alert_id"].as_string().distinct())
                ).where(TimelineEntry.action == "alert")
            ).one()
            chain = audit.verify(session)
        return {
            "lost": len(said - applied),
            "doubled": incidents - spots + taken_in - alerts,
            "incidents": incidents,
            "audit": chain.fault or "whole",
            "audit_rows": chain.rows,
        }


class Sampler(threading.Thread):
    """Notes each second what waits, for as long as its block runs."""

    def __init__(self, ledger: Ledger) -> None:
        """Keep whom to ask."""
        super().__init__(name="sampler", daemon=True)
        self.rows: list[Row] = []
        self._ledger, self._halted = ledger, threading.Event()

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End."""
        self._halted.set()
        self.join()

    def run(self) -> None:
        """Ask until told to end."""
        begun = time.monotonic()
        while not self._halted.wait(SAMPLE_S):
            with suppress(DBAPIError):
                consumed = self._ledger.committed()
                self.rows.append(
                    {
                        "at_s": round(time.monotonic() - begun, 1),
                        "not_committed": consumed.received - consumed.messages,
                        "not_applied": self._ledger.pending(),
                    }
                )
