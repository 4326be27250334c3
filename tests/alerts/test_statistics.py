"""Statistics: what a period adds up to, by whom it is seen, and the same as a table."""

import csv
import io
import json
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from area_kit import town
from central_kit import T0

from alerts.areas.geojson import read_areas
from alerts.areas.placing import place_incident
from alerts.services.bundle import open_services
from alerts.services.errors import Invalid
from alerts.services.names import Names, read_names
from alerts.services.rights import Within
from alerts.services.statistics import StatisticsService
from alerts.services.statistics_table import to_csv
from alerts.store.tables import Edge, Incident, Task

MINUTE = timedelta(minutes=1)
BEGIN, END = T0 - timedelta(days=1), T0 + timedelta(days=1)


def incident(session, kind="smoke", state="closed", *, at: datetime = T0, took_min=(2.0, 30.0), **fields):
    """One row: verified and closed so many minutes after it was made."""
    verified, closed = (at + minutes * MINUTE if minutes else None for minutes in took_min)
    values = {
        "kind": kind, "state": state, "open": state not in {"closed", "dismissed"}, "correlation_key": "k",
        "site": "riverside", "edge": "box-1", "camera": "field-1", "started_at": at, "created_at": at,
        "last_seen_at": at, "updated_at": at, "confidence": 0.9, "state_at": verified or at,
        "filed_at": None if state == "dismissed" else verified,
        "closed_at": closed if state == "closed" else None, "lat_deg": 33.05, "lon_deg": 112.05,
    }  # fmt: skip
    row = Incident(**(values | fields))
    session.add(row)
    session.flush()
    place_incident(session, row)
    return row


def task(session, row, department="police", state="handled", *, due_min=60, arrived_min=10, ended_min=20):
    at = row.created_at
    session.add(
        Task(
            incident_id=row.id, department=department, number=1, round=1, state=state, assigned_at=at,
            assigned_by="li", accepted_at=at + MINUTE, arrived_at=at + arrived_min * MINUTE,
            ended_at=at + ended_min * MINUTE if ended_min else None, close_due_at=at + due_min * MINUTE,
        )
    )  # fmt: skip


def fill(database, tmp_path):
    """Six incidents that count, one of them in the east, one that was merged, one of another day."""
    (tmp_path / "areas.geojson").write_text(json.dumps(town()), encoding="utf-8")
    open_services(database).areas.import_areas(read_areas(tmp_path / "areas.geojson"), "li")
    with database.write() as session:
        session.add(Edge(id="box-1", site="riverside", first_seen_at=T0))
        session.flush()
        first = incident(session, took_min=(1.0, 30.0))
        task(session, first, due_min=60)
        task(session, first, "fire", due_min=15)
        second = incident(session, took_min=(3.0, 90.0), camera="field-2", lon_deg=112.9)
        task(session, second, "police", "declined")
        incident(session, state="dismissed", dismiss_reason="dust", took_min=(5.0, 0))
        incident(session, "illegal_parking", "dismissed", dismiss_reason="test", took_min=(5.0, 0))
        waiting = incident(session, "illegal_parking", "dispatched", took_min=(2.0, 0))
        task(session, waiting, "police", "on_site", due_min=5, ended_min=None)
        incident(session, "camera_blind", "closed", took_min=(0, 7.0))
        incident(session, "smoke", "dismissed", merged_into=first.id, dismiss_reason="duplicate")
        incident(session, at=END)
    return StatisticsService(database, ZoneInfo("Asia/Shanghai"))


@pytest.fixture
def filled(sqlite, tmp_path):
    return fill(sqlite, tmp_path)


def test_a_period_adds_up(database, tmp_path):
    report = fill(database, tmp_path).report(BEGIN, END)
    total = report.total
    assert (total.incidents, total.open, total.confirmed, total.refuted) == (6, 1, 3, 1)
    assert total.false_share == 0.25
    # of 1, 3, 5, 5 and 2 minutes; the camera's own fault nobody verifies
    assert (total.to_verify.count, total.to_verify.median_s) == (5, 180)
    assert (total.to_close.count, total.to_close.median_s) == (3, 30 * 60)
    assert total.to_close.p90_s == pytest.approx((30 + 0.8 * 60) * 60)
    assert (total.due, total.late, total.on_time_share) == (3, 2, pytest.approx(1 / 3))
    assert [(group.key, group.incidents) for group in report.by_kind] == [
        ("smoke", 3),
        ("illegal_parking", 2),
        ("camera_blind", 1),
    ]
    assert report.by_kind[2].false_share is None
    assert [(reason.reason, reason.count) for reason in report.reasons] == [("dust", 1), ("test", 1)]
    assert (report.by_camera[0].key, report.by_camera[0].refuted) == ("box-1/field-1", 1)


def test_departments_answer_for_their_own_tasks(filled):
    police, fire = filled.report(BEGIN, END).by_department
    assert (police.key, police.incidents, police.due, police.late) == ("police", 3, 2, 1)
    assert (fire.key, fire.due, fire.on_time_share) == ("fire", 1, 0)
    assert (police.to_close.count, police.to_close.median_s) == (1, 20 * 60)
    assert police.to_arrive.median_s == 600


def test_areas_come_largest_first_and_who_sees_one_counts_it_alone(filled):
    report = filled.report(BEGIN, END)
    assert [(area.key, area.incidents) for area in report.by_area] == [
        ("city", 6), ("east", 1), ("west", 5), ("t1", 5), ("g1", 5),
    ]  # fmt: skip
    east = filled.report(BEGIN, END, within=Within(area="east"))
    assert (east.total.incidents, [group.key for group in east.by_area]) == (1, ["city", "east"])
    assert filled.report(BEGIN, END, area="west").total.incidents == 5
    own = filled.report(BEGIN, END, within=Within(department="fire"))
    assert [group.key for group in own.by_department] == ["fire"]
    assert (own.total.incidents, own.total.due) == (1, 1)


def test_days_are_local_and_without_gaps(filled):
    days = filled.report(BEGIN, END).days
    assert [day.day for day in days] == [date(2026, 5, 31), date(2026, 6, 1), date(2026, 6, 2)]
    assert [(day.confirmed, day.refuted, day.others) for day in days if day.confirmed] == [(3, 1, 2)]


def test_an_empty_period_has_no_shares(filled):
    total = filled.report(BEGIN - timedelta(days=9), BEGIN).total
    assert (total.incidents, total.false_share, total.on_time_share, total.to_close.median_s) == (
        0,
        None,
        None,
        None,
    )


@pytest.mark.parametrize("length", [timedelta(), timedelta(days=-1), timedelta(days=400)], ids=str)
def test_a_period_that_is_none_is_refused(sqlite, length):
    with pytest.raises(Invalid, match="at most a year"):
        open_services(sqlite).statistics.report(T0, T0 + length)


def test_the_table_names_what_it_counts_in_the_language_asked_for(filled, sqlite):
    report = filled.report(BEGIN, END)
    text = to_csv(report.by_kind, "kind", Names(), "zh")
    assert text.startswith("\ufeff类型,id,事件")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[1][:7] == ["秸秆焚烧烟雾", "smoke", "3", "0", "2", "1", "0.333"]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert rows[3][6] == ""
    harmful = report.total.model_copy(update={"key": "box-1/c", "name": "=HYPERLINK(1)"})
    assert "\n'=HYPERLINK(1),box-1/c," in to_csv([harmful], "camera", Names(), "en").replace("\r", "")
    areas = to_csv(report.by_area, "area", read_names(open_services(sqlite), "zh"), "zh")
    assert "west区,west,5" in areas
