"""The queries that run all day find their rows by index, on both databases, with many rows in the tables."""

from __future__ import annotations

import functools
import shutil
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from central_kit import T0, alert
from sqlalchemy import Boolean, Float, Integer, String, Table, Text, event, insert, text

from alerts.apply import apply_message
from alerts.config import EvidenceSettings
from alerts.evidence import BlobStore
from alerts.handling import Handling
from alerts.messages import Kind
from alerts.outbox import Sender
from alerts.retention import KEEP_STATES, Keeper
from alerts.services.bundle import open_services
from alerts.services.coverage import hours_of
from alerts.services.incidents import OPEN, IncidentFilter
from alerts.services.rights import Within
from alerts.states import State
from alerts.store.base import Base, UtcDateTime
from alerts.store.city import Area, IncidentArea
from alerts.store.database import Database
from alerts.store.seeing import note_cameras
from alerts.store.tables import (
    Alert,
    CameraStateChange,
    Delivery,
    Edge,
    EvidenceBlob,
    EvidenceRef,
    Incident,
    Task,
    TimelineEntry,
)
from alerts.ticker import Ticker
from towerwatch.timebase import utc_now

ROWS = 6000
LIVE = 20  # of them open, pending, or recent
BIG = {
    "incidents", "alerts", "evidence_refs", "evidence_blobs", "tasks", "timeline", "deliveries",
    "incident_areas", "camera_state_changes",
}  # fmt: skip


def filled(table: Table, number: int, **values: Any) -> dict[str, Any]:
    """Return a row with something in every column that must hold something."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name in values:
            row[column.name] = values[column.name]
        elif column.nullable:
            row[column.name] = None
        elif isinstance(column.type, UtcDateTime):
            row[column.name] = T0 + timedelta(seconds=number)
        elif isinstance(column.type, Boolean):
            row[column.name] = False
        elif isinstance(column.type, Integer | Float):
            row[column.name] = 0
        elif isinstance(column.type, String | Text):
            row[column.name] = "x"
        else:
            row[column.name] = [] if column.name in {"boxes", "zone_points"} else {}
    return row


def hexed(number: int, digits: int = 32) -> str:
    return f"{number:0{digits}x}"


def rows_of(number: int) -> dict[type[Base], dict[str, Any]]:
    live = number > ROWS - LIVE
    at = T0 + timedelta(minutes=number)
    return {
        Incident: {
            "id": number,
            "kind": "illegal_parking",
            "state": "to_verify" if live else "closed",
            "open": live,
            "edge": f"box-{number % 50}",
            "camera": f"cam-{number % 997}",
            "correlation_key": f"key-{number}",
            "updated_at": at,
            "lat_deg": 30 + number % 1000 / 1000,
            "lon_deg": 114 + number % 777 / 777,
            "look_at": at if number == ROWS else None,
        },
        Alert: {
            "id": hexed(number),
            "incident_id": number,
            "kind": "illegal_parking",
            "edge": f"box-{number % 50}",
            "phase": "opened" if live else "closed",
        },
        TimelineEntry: {"id": number, "incident_id": number},
        EvidenceRef: {
            "id": number,
            "alert_id": hexed(number),
            "sha256": hexed(number, 64),
            "role": "context_t0",
        },
        EvidenceBlob: {"sha256": hexed(number, 64), "received_at": at, "deleted_at": None if live else at},
        Task: {
            "id": number,
            "incident_id": number,
            "department": f"d{number % 40}",
            "state": "assigned" if live else "handled",
            "remind_at": at if number == ROWS else None,
        },
        Delivery: {
            "id": number,
            "key": f"k{number}",
            "target": "city",
            "state": "pending" if live else "sent",
            "incident_id": number,
        },
        CameraStateChange: {"edge": f"box-{number % 50}", "camera": f"cam-{number % 997}", "at": at},
        IncidentArea: {"incident_id": number, "area": f"g{number % 100}"},
    }


@functools.cache
def crowd() -> dict[type[Base], list[dict[str, Any]]]:
    """Return the rows of each table, made once for both databases."""
    numbered = [rows_of(number) for number in range(1, ROWS + 1)]
    return {
        table: [filled(table.__table__, number, **rows[table]) for number, rows in enumerate(numbered, 1)]
        for table in numbered[0]
    }


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowded(request, tmp_path_factory):
    """A database with some thousand rows in each table that grows."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("plans") / "central.db"
        url = f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_file'), file)}"
    else:
        template, cluster = request.getfixturevalue("migrated_postgres"), request.getfixturevalue("postgres")
        cluster.sql(f'CREATE DATABASE "plans" TEMPLATE "{template}"')
        url = f"postgresql+psycopg://towerwatch@127.0.0.1:{cluster.port}/plans"
    database = Database(url)
    with database.write() as session:
        session.execute(insert(Edge), [filled(Edge.__table__, n, id=f"box-{n}") for n in range(50)])
        areas = [filled(Area.__table__, n, id=f"g{n}", level="grid", generation=1) for n in range(100)]
        areas = [{**area, "geometry": SQUARE} for area in areas]
        session.execute(insert(Area), areas)
        for table, rows in crowd().items():
            session.execute(insert(table), rows)
            if "id" in rows[0] and isinstance(rows[0]["id"], int) and not database.is_sqlite:
                name = table.__tablename__
                session.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {ROWS})"))
        session.execute(text("ANALYZE"))
    yield database
    database.close()


SQUARE = {"type": "Polygon", "coordinates": [[[114, 30], [115, 30], [115, 31], [114, 30]]]}


@contextmanager
def plans(database: Database):
    """Collect the plan of every SELECT, UPDATE and DELETE that runs inside."""
    found: list[tuple[str, str]] = []
    asking = False

    def explain(connection, cursor, statement, parameters, _context, _many):
        nonlocal asking
        if asking or not statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            return
        asking = True
        try:
            how = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
            rows = connection.exec_driver_sql(how + statement, parameters).all()
        finally:
            asking = False
        found.append((statement, "\n".join(str(row[-1]) for row in rows)))

    event.listen(database.engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", explain)


def whole_tables(plan: str) -> set[str]:
    """Return the large tables that a plan reads from end to end, without an index."""
    read = set()
    for line in plan.splitlines():
        words = line.replace("->", " ").split()
        if words[:1] == ["SCAN"] and "INDEX" not in words:
            read.add(words[1])
        if words[:3] == ["Seq", "Scan", "on"]:
            read.add(words[3])
    return read & BIG


class Ear(Sender):
    def _send(self, _owed):
        return None


def queue(database):
    incidents = open_services(database).incidents
    incidents.list_incidents(OPEN)
    incidents.list_incidents(OPEN, cursor=str(ROWS - 10))
    incidents.count_by_state(OPEN)


def queue_within(database):
    incidents = open_services(database).incidents
    incidents.list_incidents(IncidentFilter(states=frozenset({State.TO_VERIFY}), within=Within(area="g7")))
    incidents.list_incidents(IncidentFilter(within=Within(department="d7")))
    incidents.sees(Within(area="g7"), sha256=hexed(7, 64))
    incidents.sees(Within(department="d7"), task_id=7)


def the_map(database):
    incidents = open_services(database).incidents
    view = (114.2, 30.2, 114.21, 30.21)
    incidents.list_incidents(IncidentFilter(bbox=view))
    incidents.list_incidents(IncidentFilter(states=OPEN.states, bbox=view))


def one_incident(database):
    services = open_services(database)
    services.incidents.get_incident(7)
    services.incidents.reach([7, 8])
    services.tasks.list_tasks(department="d7")


def feed(database):
    services = open_services(database)
    half = services.feed.read(limit=5).cursor
    services.feed.read(cursor=half, limit=20)


def retention(database, tmp_path):
    store = BlobStore(tmp_path / "evidence")
    store.open()
    keeper = Keeper(database, store, EvidenceSettings(), lambda _sha256: None)
    keeper.prune(T0 + timedelta(days=4000))
    keeper.prune_states(T0 + KEEP_STATES + timedelta(minutes=LIVE))


def coverage(database):
    hours_of(database, "box-7", "cam-7", T0 + timedelta(days=3), days=7)
    with database.write() as session:
        note_cameras(database, session, {"box-7"}, T0)


def clock(database):
    ticker = Ticker(database, Handling())
    ticker.tick(T0 + timedelta(minutes=ROWS + 1))


def outbox(database):
    Ear(database, "city", timeout_s=1, give_up_after_h=1).send_due()


def arrival(database):
    with database.write() as session:
        apply_message(database, session, alert("new", edge="box-7", camera="cam-7"), utc_now())
        apply_message(database, session, alert("smoke", kind=Kind.SMOKE, edge="box-7"), utc_now())


@pytest.mark.parametrize(
    "asked", [queue, queue_within, the_map, one_incident, feed, coverage, clock, outbox, arrival]
)
def test_what_runs_all_day_reads_no_table_from_end_to_end(crowded, asked):
    with plans(crowded) as found:
        asked(crowded)
    assert found
    for statement, plan in found:
        assert whole_tables(plan) == set(), f"{statement}\n{plan}"


def test_retention_finds_what_is_old_by_index(crowded, tmp_path):
    with plans(crowded) as found:
        retention(crowded, tmp_path)
    for statement, plan in found:
        assert whole_tables(plan) == set(), f"{statement}\n{plan}"
