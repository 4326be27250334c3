"""Commands to boxes: written in a transaction, published by the consumer, answered by a reply."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from alerts.messages import CommandMessage, ReplyMessage, encode
from alerts.store.database import Database
from alerts.store.tables import Command, Edge
from alerts.topics import Address
from towerwatch.timebase import utc_now

Name = Literal["apply_config", "fetch_model", "snapshot", "live", "reconcile", "dismissed"]
MAX_AT_ONCE = 100


def order(
    session: Session, edge: str, name: Name, arguments: dict[str, Any], *, incident_id: int | None = None
) -> str:
    """Write a command within the caller's transaction and return its id; an incident may wait for it."""
    command_id = uuid.uuid4().hex
    session.add(
        Command(
            id=command_id,
            edge=edge,
            name=name,
            arguments=arguments,
            created_at=utc_now(),
            incident_id=incident_id,
        )
    )
    return command_id


def unsent(database: Database) -> list[tuple[Address, bytes, str]]:
    """Return (topic, payload, command id) of what waits to be published."""
    with database.read() as session:
        rows = session.execute(
            select(Command, Edge.site)
            .join(Edge, Edge.id == Command.edge)
            .where(Command.sent_at.is_(None))
            .order_by(Command.created_at)
            .limit(MAX_AT_ONCE)
        )
        return [(Address(site, row.edge, "command"), encode(_message(row)), row.id) for row, site in rows]


def mark_sent(database: Database, command_ids: list[str]) -> None:
    """Note that the broker has taken commands; one killed before this publishes them again."""
    with database.write() as session:
        session.execute(update(Command).where(Command.id.in_(command_ids)).values(sent_at=utc_now()))


def answered(session: Session, edge: str, reply: ReplyMessage) -> bool:
    """Keep a reply with its command; False when this box was never asked that."""
    row = session.get(Command, reply.command_id)
    if row is None or row.edge != edge:
        return False
    row.replied_at, row.ok = reply.at, reply.ok
    row.detail, row.result = reply.detail, dict(reply.result)
    return True


def _message(row: Command) -> CommandMessage:
    return CommandMessage.model_validate(
        {"command_id": row.id, "at": row.created_at, "name": row.name, "arguments": row.arguments}
    )
