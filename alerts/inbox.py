"""From MQTT messages to committed rows: one transaction a batch, and what may be acknowledged after it.

A message that cannot be used goes to the dead letters with its reason. If its outbox id and sequence can
be read all the same, it is acknowledged to the box: sending it again would change nothing, and one poison
message must not block an outbox for ever. What was kept can be taken up again after an upgrade
(``central dead-letters retry``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, true
from sqlalchemy.exc import DBAPIError, OperationalError, StatementError
from sqlalchemy.orm import Session, load_only

from alerts import commands
from alerts.health import apply_health, apply_rounds, apply_status, note_sequences
from alerts.messages import (
    MAX_MESSAGE_BYTES,
    AlertMessage,
    HealthMessage,
    ReplyMessage,
    StatusMessage,
    WireModel,
    decode,
)
from alerts.store.database import Database
from alerts.store.tables import DeadLetter, Edge, InboxRow
from alerts.topics import Address, parse_topic
from towerwatch.errors import RetryableError
from towerwatch.logs import get_logger
from towerwatch.secrets import redact
from towerwatch.timebase import iso_z, utc_now

KEPT_PAYLOAD_BYTES = 4 * MAX_MESSAGE_BYTES
MAX_REASON = 1024
# a box that sends nothing but nonsense pushes out its own oldest letters, and fills no disk
MAX_LETTERS_OF_TOPIC = 500
MAX_LETTERS = 20_000
_HEX32 = re.compile(r"[0-9a-f]{32}")
# what of a box decides how a message of it is taken; the rest is written alone
_DECIDING = (
    Edge.site,
    Edge.revoked_at,
    Edge.online,
    Edge.status_at,
    Edge.status_received_at,
    Edge.silent_alert_id,
    Edge.silent_since,
    Edge.health_round,
    Edge.unknown_open,
)
# what a value that fits the contract and no column raises: the database's own refusal, or its driver's
REFUSED = (StatementError, OverflowError, ValueError)

log = get_logger(__name__)


class DatabaseAway(RetryableError):
    """The database cannot be reached; nothing of the batch was committed."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One MQTT message as it came."""

    topic: str
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Good:
    """A message that fits the contract."""

    address: Address
    message: WireModel
    raw: Incoming


@dataclass(frozen=True, slots=True)
class Bad:
    """A message that does not, why, and its place in the outbox where that can be read."""

    raw: Incoming
    reason: str
    address: Address | None = None
    outbox: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Sequences of one box's outbox that are now committed."""

    address: Address
    outbox_id: str
    sequences: tuple[int, ...]


def read(raw: Incoming) -> Good | Bad:
    """Decode one message and hold it against its topic; pure."""
    try:
        address = parse_topic(raw.topic)
    except ValueError as error:
        return Bad(raw, str(error))
    outbox = outbox_of(raw.payload) if address.channel == "alert" else None
    try:
        message = decode(address.channel, raw.payload)
    except ValueError as error:
        return Bad(raw, str(error), address, outbox)
    if isinstance(message, AlertMessage) and (message.site, message.edge) != (address.site, address.edge):
        reason = f"says it is of {message.site}/{message.edge}, came from {address.site}/{address.edge}"
        return Bad(raw, reason, address, outbox)
    return Good(address, message, raw)


def outbox_of(payload: bytes) -> tuple[str, int] | None:
    """Read outbox id and sequence of a message that may be broken otherwise; None if they cannot be."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    outbox_id, seq = document.get("outbox_id"), document.get("outbox_seq")
    if not (isinstance(outbox_id, str) and _HEX32.fullmatch(outbox_id)):
        return None
    if not isinstance(seq, int) or isinstance(seq, bool) or not 1 <= seq < 2**63:
        return None
    return outbox_id, seq


class Inbox:
    """Commits batches of messages."""

    def __init__(self, database: Database, *, lost_after_rounds: int = 3) -> None:
        """Keep the database."""
        self._database = database
        self._lost_after = lost_after_rounds

    def commit(self, batch: Sequence[Incoming]) -> list[Acknowledged]:
        """Commit a batch; return what may now be acknowledged to the boxes.

        A message that the database itself refuses is found by committing the batch one by one, and
        becomes a dead letter.

        Raises:
            DatabaseAway: nothing was committed, the same batch may be tried again.

        """
        read_batch = [read(raw) for raw in batch]
        try:
            return self._commit(read_batch)
        except REFUSED as error:
            if isinstance(error, DBAPIError) and is_away(error):
                raise DatabaseAway(str(error.orig)) from error
        acks: list[Acknowledged] = []
        for item in read_batch:
            acks += self._commit_alone(item)
        return acks

    def _commit_alone(self, item: Good | Bad) -> list[Acknowledged]:
        try:
            return self._commit([item])
        except REFUSED as error:
            if isinstance(error, DBAPIError) and is_away(error):
                raise DatabaseAway(str(error.orig)) from error
            outbox = outbox_of(item.raw.payload)
            why = error.orig if isinstance(error, StatementError) else error
            bad = Bad(item.raw, f"refused by the database: {why}", item.address, outbox)
        try:
            return self._commit([bad])
        except DBAPIError as error:
            raise DatabaseAway(str(error.orig)) from error

    def _commit(self, batch: Sequence[Good | Bad]) -> list[Acknowledged]:
        now = utc_now()
        # a flush before each query would send the health of each box by itself; new rows are flushed
        with self._database.write() as session, session.no_autoflush:
            edges = self._edges(session, [item.address for item in batch if isinstance(item, Good)], now)
            checked = [_check_edge(item, edges) for item in batch]
            good = [item for item in checked if isinstance(item, Good)]
            bad = [item for item in checked if isinstance(item, Bad)]
            acks: dict[tuple[Address, str], set[int]] = defaultdict(set)
            self._insert_alerts(session, good, acks, now)
            for item in good:
                self._apply_other(session, edges[item.address.edge], item, bad, now)
            said = [
                (edges[item.address.edge], item.message)
                for item in good
                if isinstance(item.message, HealthMessage)
            ]
            apply_rounds(self._database, session, said, now, lost_after=self._lost_after)
            for letter in bad:
                self._bury(session, letter, now)
            self._forget_oldest(session, {letter.raw.topic for letter in bad})
            for letter in bad:
                if letter.address is not None and letter.outbox is not None:
                    acks[letter.address, letter.outbox[0]].add(letter.outbox[1])
        return [Acknowledged(at, outbox_id, tuple(sorted(seqs))) for (at, outbox_id), seqs in acks.items()]

    def _edges(self, session: Session, addresses: Sequence[Address], now: datetime) -> dict[str, Edge]:
        """Return the boxes of a batch, locked in one order; a box not known yet is entered."""
        sites = {address.edge: address.site for address in addresses}
        if not sites:
            return {}
        found = self._load_edges(session, sites)
        new = sorted(sites.keys() - found.keys())
        if new:
            rows = [
                {
                    "id": edge,
                    "site": sites[edge],
                    "first_seen_at": now,
                    "online": False,
                    "outbox": {},
                    "workers_restarted": 0,
                    "health_round": {},
                    "unknown_open": {},
                }
                for edge in new
            ]
            session.execute(self._database.insert(Edge).on_conflict_do_nothing(), rows)
            found = self._load_edges(session, sites)
        return found

    def _load_edges(self, session: Session, sites: dict[str, str]) -> dict[str, Edge]:
        query = (
            select(Edge)
            .options(load_only(*_DECIDING))
            .where(Edge.id.in_(sorted(sites)))
            .order_by(Edge.id)
            .with_for_update()
        )
        return {edge.id: edge for edge in session.scalars(query)}

    def _insert_alerts(
        self,
        session: Session,
        good: Sequence[Good],
        acks: dict[tuple[Address, str], set[int]],
        now: datetime,
    ) -> None:
        rows = []
        for item in good:
            message = item.message
            if not isinstance(message, AlertMessage):
                continue
            acks[item.address, message.outbox_id].add(message.outbox_seq)
            rows.append(inbox_row(message, item.raw.payload.decode(), item.raw.received_at))
        if rows:
            session.execute(self._database.insert(InboxRow).on_conflict_do_nothing(), rows)
        came = {(address.edge, outbox_id): numbers for (address, outbox_id), numbers in acks.items()}
        note_sequences(session, came, now)

    def _apply_other(self, session: Session, edge: Edge, item: Good, bad: list[Bad], now: datetime) -> None:
        match item.message:
            case StatusMessage() as status:
                apply_status(session, edge, status, now)
            case HealthMessage():
                apply_health(session, edge, now)
            case ReplyMessage() as reply:
                if not commands.answered(session, edge.id, reply):
                    bad.append(Bad(item.raw, f"answers a command {reply.command_id} that was never sent"))

    def _bury(self, session: Session, letter: Bad, now: datetime) -> None:
        digest = hashlib.sha256(letter.raw.topic.encode() + b"\0" + letter.raw.payload).hexdigest()
        reason = redact(letter.reason).replace("\0", "\\0")[:MAX_REASON]
        insert: Any = self._database.insert(DeadLetter).values(
            digest=digest,
            topic=_topic_kept(letter.raw.topic),
            reason=reason,
            payload=letter.raw.payload[:KEPT_PAYLOAD_BYTES],
            payload_bytes=len(letter.raw.payload),
            first_at=now,
            last_at=now,
            times=1,
        )
        session.execute(
            insert.on_conflict_do_update(
                index_elements=["digest"],
                set_={"times": DeadLetter.times + 1, "last_at": now, "reason": reason},
            )
        )
        log.warning("dead letter", topic=letter.raw.topic, reason=reason)

    def _forget_oldest(self, session: Session, topics: set[str]) -> None:
        """Keep the dead letters within their bounds, by topic and in all."""
        if not topics:
            return
        bounds = [(DeadLetter.topic == _topic_kept(topic), MAX_LETTERS_OF_TOPIC) for topic in sorted(topics)]
        for where, most in [*bounds, (true(), MAX_LETTERS)]:
            too_many = session.scalars(
                select(DeadLetter.digest).where(where).order_by(DeadLetter.last_at.desc()).offset(most)
            ).all()
            if too_many:
                session.execute(delete(DeadLetter).where(DeadLetter.digest.in_(too_many)))
                log.warning("dead letters dropped", letters=len(too_many), topics=sorted(topics)[:5])


def _topic_kept(topic: str) -> str:
    return topic.replace("\0", "\\0")[:512]


def inbox_row(message: AlertMessage, body: str, received_at: datetime) -> dict[str, Any]:
    """Return the columns of a fresh inbox row."""
    return {
        "edge": message.edge,
        "outbox_id": message.outbox_id,
        "outbox_seq": message.outbox_seq,
        "alert_id": message.alert_id,
        "phase_seq": message.phase_seq,
        "body": body,
        "received_at": received_at,
        "state": "pending",
        "tries": 0,
        "next_try_at": received_at,
    }


def is_away(error: DBAPIError) -> bool:
    """Tell a database that is gone, busy or full from one that refuses this very data."""
    return error.connection_invalidated or isinstance(error, OperationalError)


def list_dead_letters(database: Database) -> list[dict[str, Any]]:
    """Return what could not be used, newest first, without the payloads."""
    with database.read() as session:
        return [
            {
                "topic": row.topic,
                "reason": row.reason,
                "bytes": row.payload_bytes,
                "times": row.times,
                "first_at": iso_z(row.first_at),
                "last_at": iso_z(row.last_at),
            }
            for row in session.scalars(select(DeadLetter).order_by(DeadLetter.last_at.desc()))
        ]


def retry_dead_letters(database: Database) -> tuple[int, int]:
    """Read all dead letters again, after an upgrade; return how many went in and how many stay."""
    inbox = Inbox(database)
    with database.read() as session:
        kept = session.scalars(
            select(DeadLetter).where(DeadLetter.payload_bytes == func.length(DeadLetter.payload))
        ).all()
    went_in = 0
    for letter in kept:
        raw = Incoming(letter.topic, letter.payload, letter.first_at)
        if isinstance(read(raw), Bad):
            continue
        before = letter.times
        inbox.commit([raw])
        with database.write() as session:
            row = session.get(DeadLetter, letter.digest)
            if row is not None and row.times == before:  # it was not buried again
                session.delete(row)
                went_in += 1
    return went_in, len(kept) - went_in


def _check_edge(item: Good | Bad, edges: dict[str, Edge]) -> Good | Bad:
    if isinstance(item, Bad):
        return item
    edge = edges[item.address.edge]
    reason = None
    if edge.revoked_at is not None:
        # not acknowledged: a box whose revocation was an error still holds what it saw
        return Bad(item.raw, f"box {edge.id} is revoked")
    if edge.site != item.address.site:
        reason = f"box {edge.id} belongs to site {edge.site}, not {item.address.site}"
    if reason is None:
        return item
    return Bad(item.raw, reason, item.address, outbox_of(item.raw.payload))
