"""Signed webhooks: one of the ways in which what the outbox owes is paid.

Each call carries::

    Content-Type: application/json
    Towerwatch-Event: incident.created
    Towerwatch-Delivery: <key, the same on every repeat: drop what you have seen>
    Towerwatch-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>" with the shared secret>

A receiver answers 2xx within the time limit. Anything else is tried again with capped, jittered
back-off until ``give_up_after_h``.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from contextlib import suppress
from datetime import datetime

import httpx

from alerts.config import WebhookSettings
from alerts.outbox import Owed, Sender
from alerts.store.database import Database
from towerwatch.secrets import Secret, redact
from towerwatch.timebase import utc_now

MAX_ANSWER_BYTES = 64 * 1024


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


class WebhookSender(Sender):
    """Calls one address for everything it is owed."""

    def __init__(self, database: Database, settings: WebhookSettings) -> None:
        """Keep database and target; nothing is opened yet."""
        super().__init__(
            database,
            settings.name,
            timeout_s=settings.timeout_s,
            give_up_after_h=settings.give_up_after_h,
        )
        self._settings = settings
        self._client: httpx.Client | None = None

    def _send(self, owed: Owed) -> str | None:
        body = owed.body.encode()
        headers = {
            "Content-Type": "application/json",
            "Towerwatch-Event": owed.event,
            "Towerwatch-Delivery": owed.key,
            "Towerwatch-Signature": sign(self._settings.secret, body, utc_now()),
        }
        if self._client is None:
            self._client = httpx.Client(timeout=self._settings.timeout_s, follow_redirects=False)
        try:
            with self._client.stream("POST", self._settings.url, content=body, headers=headers) as answer:
                _read_off(answer, self._settings.timeout_s)
                return None if answer.is_success else f"answered {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return redact(f"{type(error).__name__}: {error}")

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back; the next call opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None


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
