"""The audit: every change as a row of one chain, each row's hash covering the hash before it.

What a transaction records waits in the session and is chained as the last thing before the commit. The end
of the chain is one row, which who appends holds until the commit: writers wait for each other's commit
alone, never for each other's work, and nobody who holds the end waits for anything else. See
``docs/adr/0007-audit-chain.md``.

The hash of a row is SHA-256 over the hash before it, a line feed, and the row as a JSON array
``[seq, at, actor, action, subject, detail]``, where ``at`` is ISO 8601 in UTC and ``detail`` the stored text.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from alerts.store.tables import AuditHead, AuditRow
from towerwatch.errors import ConfigError
from towerwatch.timebase import to_utc, utc_now

GENESIS = "0" * 64
_PENDING = "towerwatch audit"
_PIECE = 2000
_END = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, not chained yet."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at the whole chain found; ``fault`` names the first bad row."""

    rows: int
    head: str
    fault: str | None


def record(
    session: Session,
    actor: str,
    action: str,
    subject: str,
    detail: dict[str, Any] | None = None,
    *,
    at: datetime | None = None,
) -> None:
    """Note a change within the caller's transaction; it is chained at the commit, or lost with a rollback."""
    text = json.dumps(detail or {}, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    entry = Entry(at or utc_now(), actor[:128], action[:64], subject[:192], text.replace("\0", "\\0"))
    session.info.setdefault(_PENDING, []).append(entry)


def pending(session: Session) -> int:
    """Return how many changes wait for the commit."""
    return len(session.info.get(_PENDING, ()))


def forget(session: Session, kept: int) -> None:
    """Drop what was recorded beyond the first ``kept`` changes: its savepoint was rolled back."""
    del session.info.get(_PENDING, [])[kept:]


def append(session: Session) -> None:
    """Chain what waits; call it last, since the end of the chain stays locked until the commit."""
    entries: list[Entry] = session.info.pop(_PENDING, [])
    if not entries:
        return
    session.flush()
    end = select(AuditHead.seq, AuditHead.hash).where(AuditHead.id == 1).with_for_update()
    seq, digest = session.execute(end).one()
    rows = []
    for entry in entries:
        seq += 1
        digest = chained(digest, seq, entry)
        rows.append(
            {
                "seq": seq,
                "at": entry.at,
                "actor": entry.actor,
                "action": entry.action,
                "subject": entry.subject,
                "detail": entry.detail,
                "hash": digest,
            }
        )
    session.execute(insert(AuditRow), rows)
    session.execute(update(AuditHead).where(AuditHead.id == 1).values(seq=seq, hash=digest))


def chained(before: str, seq: int, entry: Entry) -> str:
    """Return the hash of a row that follows a row with the hash ``before``."""
    fields = [seq, to_utc(entry.at).isoformat(), entry.actor, entry.action, entry.subject, entry.detail]
    row = json.dumps(fields, ensure_ascii=False)
    return hashlib.sha256(f"{before}\n{row}".encode()).hexdigest()


def parse_end(text: str) -> tuple[int, str]:
    """Read ``SEQ:HASH`` as :func:`verify` was told it; raise ConfigError for anything else."""
    found = _END.fullmatch(text)
    if found is None:
        msg = f"{text!r} is no end of the audit; write SEQ:HASH as `central audit verify` prints it"
        raise ConfigError(msg)
    return int(found[1]), found[2]


def verify(session: Session, known: tuple[int, str] | None = None) -> Verified:
    """Read the whole chain; ``known`` is an end (sequence, hash) that was noted outside, which must be in it.

    Whoever can write to the database can write a whole new chain, but none with an end that was noted.
    """
    count, digest = 0, GENESIS
    known_at = None
    for row in session.scalars(select(AuditRow).order_by(AuditRow.seq).execution_options(yield_per=_PIECE)):
        count += 1
        if row.seq != count:
            return Verified(count - 1, digest, f"row {count} is missing")
        digest = chained(digest, row.seq, Entry(row.at, row.actor, row.action, row.subject, row.detail))
        if row.hash != digest:
            return Verified(
                count - 1, digest, f"row {count} has been altered, or does not follow from the row before it"
            )
        if known is not None and known[0] == count:
            known_at = digest
    head = session.get(AuditHead, 1)
    if head is None or (head.seq, head.hash) != (count, digest):
        cut = f"row {count + 1} is missing: " if head is not None and head.seq > count else ""
        return Verified(count, digest, f"{cut}the chain ends before its head" if cut else "the head is wrong")
    if known is not None and known_at != known[1]:
        return Verified(count, digest, f"row {known[0]} is not the one that was noted")
    return Verified(count, digest, None)
