"""Signed webhooks through a transactional outbox: owed in the transaction that makes the incident.

Each call carries::

    Content-Type: application/json
    Towerwatch-Event: incident.created
    Towerwatch-Delivery: <key, the same on every repeat: drop what you have seen>
    Towerwatch-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>" with the shared secret>

A receiver answers 2xx within the time limit. Anything else is tried again with capped, jittered
back-off until ``give_up_after_h``. Delivery is at least once: a sender killed between sending and
noting it sends again, under the same key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from alerts.config import WebhookSettings
from alerts.messages import AlertMessage
from alerts.store.database import Database
from alerts.store.tables import Delivery, Incident
from alerts.thread_part import ThreadPart
from towerwatch.logs import get_logger
from towerwatch.secrets import Secret, redact
from towerwatch.timebase import iso_z, utc_now

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 600.0
IDLE_S = 0.3
MAX_ANSWER_BYTES = 64 * 1024

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Owed:
    """One delivery that this sender has taken."""

    id: int
    key: str
    event: str
    body: str
    tries: int
    created_at: datetime


def enqueue(
    session: Session, targets: Sequence[str], event: str, incident: Incident, message: AlertMessage
) -> None:
    """Owe one event to every target, within the caller's transaction."""
    key = f"{event}:{incident.id}"
    body = json.dumps(
        {
            "event": event,
            "key": key,
            "at": iso_z(utc_now()),
            "incident": {
                "id": incident.id,
                "kind": incident.kind,
                "state": incident.state,
                "site": incident.site,
                "edge": incident.edge,
                "camera": incident.camera,
                "zone": incident.zone,
                "started_at": iso_z(incident.started_at),
                "confidence": incident.confidence,
                "position": message.position.model_dump(exclude_none=True) if message.position else None,
                "alert_id": message.alert_id,
                "evidence": [item.sha256 for item in message.evidence],
                "historical": message.historical,
            },
        },
        ensure_ascii=False,
    )
    now = utc_now()
    for target in targets:
        session.add(
            Delivery(
                key=key,
                target=target,
                event=event,
                incident_id=incident.id,
                body=body,
                created_at=now,
                next_try_at=now,
            )
        )


def sign(secret: Secret, body: bytes, at: datetime) -> str:
    """Return the value of the signature header."""
    stamp = int(at.timestamp())
    mac = hmac.new(secret.reveal().encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    return f"t={stamp},v1={mac.hexdigest()}"


def verify(secret: Secret, body: bytes, header: str, now: datetime, tolerance_s: float = 300) -> bool:
    """Check a signature as a receiver does: right secret, body untouched, not too old."""
    fields = dict(part.partition("=")[::2] for part in header.split(","))
    try:
        stamp = int(fields["t"])
    except (KeyError, ValueError):
        return False
    fresh = abs(now.timestamp() - stamp) <= tolerance_s
    mac = hmac.new(secret.reveal().encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    return fresh and hmac.compare_digest(mac.hexdigest(), fields.get("v1", ""))


class WebhookSender(ThreadPart):
    """The thread that pays what one target is owed; a slow target delays no other."""

    def __init__(self, database: Database, settings: WebhookSettings) -> None:
        """Keep database and target; nothing is opened yet."""
        super().__init__(f"webhook-{settings.name}")
        self._database = database
        self._settings = settings

    def send_due(self, client: httpx.Client) -> bool:
        """Send one delivery that is due; False when there is none."""
        owed = self._take()
        if owed is None:
            return False
        error = self._send(client, owed)
        now = utc_now()
        with self._database.write() as session:
            row = session.get(Delivery, owed.id)
            if row is None or row.state != "pending":
                return True
            row.error = error and error[:512]
            if error is None:
                row.state, row.sent_at = "sent", now
            elif now - owed.created_at > timedelta(hours=self._settings.give_up_after_h):
                row.state = "failed"
                log.error("webhook given up", target=self._settings.name, key=owed.key, error=error)
            else:
                row.next_try_at = now + timedelta(seconds=retry_after_s(owed.tries))
                log.warning("webhook failed", target=self._settings.name, key=owed.key, error=error)
        return True

    def _take(self) -> Owed | None:
        """Lease the oldest due delivery: pushed into the future, so that no other sender takes it too."""
        now = utc_now()
        due = (
            select(Delivery)
            .where(
                Delivery.target == self._settings.name,
                Delivery.state == "pending",
                Delivery.next_try_at <= now,
            )
            .order_by(Delivery.id)
            .limit(1)
        )
        with self._database.read() as session:  # a look that takes no write lock
            if session.scalar(due) is None:
                return None
        with self._database.write() as session:
            row = session.scalar(due.with_for_update(skip_locked=True))
            if row is None:
                return None
            row.tries += 1
            row.next_try_at = now + timedelta(seconds=self._settings.timeout_s + 5)
            return Owed(row.id, row.key, row.event, row.body, row.tries, row.created_at)

    def _send(self, client: httpx.Client, owed: Owed) -> str | None:
        """Make the call; return what went wrong, or None."""
        body = owed.body.encode()
        headers = {
            "Content-Type": "application/json",
            "Towerwatch-Event": owed.event,
            "Towerwatch-Delivery": owed.key,
            "Towerwatch-Signature": sign(self._settings.secret, body, utc_now()),
        }
        try:
            with client.stream("POST", self._settings.url, content=body, headers=headers) as answer:
                _read_off(answer, self._settings.timeout_s)
                return None if answer.is_success else f"answered {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return redact(f"{type(error).__name__}: {error}")

    def _run(self) -> None:
        with httpx.Client(timeout=self._settings.timeout_s, follow_redirects=False) as client:
            while not self._stop.is_set():
                try:
                    busy = self.send_due(client)
                except DBAPIError as error:
                    log.warning("deliveries cannot be read", error=str(error.orig))
                    busy = False
                if not busy:
                    self._stop.wait(IDLE_S)


def _read_off(answer: httpx.Response, limit_s: float) -> None:
    """Read an answer's body, which says nothing to us, so that the connection can be used again.

    One that is long, slow or without an end is left: the status has said what matters.
    """
    taken, until_s = 0, time.monotonic() + limit_s
    with suppress(httpx.HTTPError):
        for chunk in answer.iter_raw():
            taken += len(chunk)
            if taken > MAX_ANSWER_BYTES or time.monotonic() > until_s:
                return


def retry_after_s(tries: int) -> float:
    """Return the capped, jittered wait after the given number of tries, in s."""
    longest = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(tries, 20))
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


def retry_failed(database: Database) -> int:
    """Take up again what had been given up; return how many."""
    with database.write() as session:
        done = session.execute(
            update(Delivery)
            .where(Delivery.state == "failed")
            .values(state="pending", next_try_at=utc_now(), created_at=utc_now())
            .returning(Delivery.id)
        )
        return len(done.all())
