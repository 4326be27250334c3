"""Counts for Prometheus, in its text format, read from the database when asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select

from alerts.store.database import Database
from alerts.store.tables import Camera, DeadLetter, Delivery, Edge, InboxRow, Incident, OutboxStream


def render(database: Database) -> str:
    """Return all counts."""
    lines: list[str] = []
    with database.read() as session:

        def grouped(column: Any) -> list[tuple[str, int]]:
            return [
                (str(key), count)
                for key, count in session.execute(
                    select(column, func.count()).group_by(column).order_by(column)
                )
            ]

        _family(lines, "incidents", "incidents by state", "state", grouped(Incident.state))
        _family(lines, "inbox_rows", "alert messages by state", "state", grouped(InboxRow.state))
        _family(lines, "deliveries", "webhook calls by state", "state", grouped(Delivery.state))
        _family(lines, "cameras", "cameras by state", "state", grouped(Camera.state))
        online = session.scalar(select(func.count()).select_from(Edge).where(Edge.online)) or 0
        _single(lines, "edges_online", "boxes that are connected", online)
        stretch = session.scalar(select(func.max(Edge.stretch)).where(Edge.online)) or 1.0
        _single(lines, "stretch_max", "stretch of the intervals on the box that is loaded most", stretch)
        overloaded = select(func.count()).select_from(Edge).where(Edge.online, Edge.stretch > 1)
        stretched = session.scalar(overloaded) or 0
        _single(lines, "edges_stretched", "boxes that stretch their intervals", stretched)
        letters = session.scalar(select(func.coalesce(func.sum(DeadLetter.times), 0))) or 0
        _single(lines, "dead_letters", "messages that could not be used", letters)
        lost = session.scalar(select(func.coalesce(func.sum(OutboxStream.lost), 0))) or 0
        _single(lines, "messages_given_up", "messages that boxes had to drop", lost)
    return "\n".join([*lines, ""])


def _family(lines: list[str], name: str, text: str, label: str, values: Iterable[tuple[str, int]]) -> None:
    lines += [f"# HELP towerwatch_{name} {text}", f"# TYPE towerwatch_{name} gauge"]
    lines += [f'towerwatch_{name}{{{label}="{key}"}} {value}' for key, value in values]


def _single(lines: list[str], name: str, text: str, value: float) -> None:
    lines += [
        f"# HELP towerwatch_{name} {text}",
        f"# TYPE towerwatch_{name} gauge",
        f"towerwatch_{name} {value}",
    ]
