"""The live list as pure functions: filters, order, differences, clusters."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.console.neighbours import neighbours
from alerts.console.rows import (
    PAGE,
    QueueFilter,
    Row,
    Spot,
    Viewport,
    bounds,
    cluster_incidents,
    difference,
    row_of,
    select,
    spot_of,
)
from alerts.messages import Kind
from alerts.services.views import IncidentSummary, PlaceView
from alerts.states import State

AT = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)


def row(key: int, kind: Kind = Kind.ILLEGAL_PARKING, **fields: object) -> Row:
    severity = {Kind.SMOKE: 1, Kind.BLOCKED_ROAD: 2}.get(kind, 3)
    base = Row(key, kind, severity, "to_verify", "street-1", "kerb", 1, key * 1000, "", False, False, 1)
    return replace(base, **fields)  # type: ignore[arg-type]


def summary(**fields: object) -> IncidentSummary:
    values: dict[str, object] = {
        "id": 7,
        "kind": Kind.SMOKE,
        "state": State.TO_VERIFY,
        "site": "riverside",
        "edge": "box-1",
        "camera": "field-1",
        "camera_name": None,
        "zone": None,
        "started_at": AT,
        "ended_at": None,
        "last_seen_at": AT,
        "created_at": AT,
        "updated_at": AT,
        "closure_proposed_at": None,
        "confidence": 0.7,
        "alert_count": 2,
        "open_alert_count": 1,
        "historical": False,
        "place": None,
        "dismiss_reason": None,
        "state_at": AT,
        "filed_at": None,
        "closed_at": None,
        "due_at": None,
        "score": None,
        "merged_into": None,
        "version": 3,
        "actions": (),
    }
    return IncidentSummary.model_validate(values | fields)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({}, QueueFilter(), id="nothing"),
        pytest.param({"state": "closed"}, QueueFilter(state="closed"), id="state"),
        pytest.param({"state": "nonsense"}, QueueFilter(), id="unknown state"),
        pytest.param({"kind": "smoke"}, QueueFilter(kind="smoke"), id="kind"),
        pytest.param({"kind": "<script>"}, QueueFilter(), id="unknown kind"),
        pytest.param({"camera": "  Street "}, QueueFilter(camera="street"), id="camera"),
        pytest.param({"sort": "newest", "limit": "300"}, QueueFilter(sort="newest", limit=300), id="sort"),
        pytest.param({"limit": "-1"}, QueueFilter(limit=PAGE), id="negative limit"),
        pytest.param({"limit": "99999999"}, QueueFilter(limit=2000), id="huge limit"),
        pytest.param({"limit": "x"}, QueueFilter(limit=PAGE), id="limit no number"),
    ],
)
def test_filter_reads_a_query(query: dict[str, str], expected: QueueFilter) -> None:
    assert QueueFilter.parse(query) == expected


def test_list_is_by_severity_then_newest_and_chips_count_every_kind() -> None:
    rows = [row(1), row(2, Kind.SMOKE), row(3), row(4, Kind.BLOCKED_ROAD), row(5, state="closed")]
    shown = select(rows, QueueFilter())
    assert [item.id for item in shown.rows] == [2, 4, 3, 1]
    assert shown.total == 4
    only = select(rows, QueueFilter(kind="smoke"))
    assert [item.id for item in only.rows] == [2]
    assert only.counts[""] == 4
    assert only.counts["illegal_parking"] == 2


def test_newest_first_ignores_severity() -> None:
    rows = [row(1, Kind.SMOKE), row(2), row(3, Kind.BLOCKED_ROAD)]
    assert [item.id for item in select(rows, QueueFilter(sort="newest")).rows] == [3, 2, 1]


@pytest.mark.parametrize(
    ("state", "ids"),
    [("open", [1, 3]), ("closed", [2]), ("filed", [3]), ("all", [1, 2, 3])],
)
def test_state_filter(state: str, ids: list[int]) -> None:
    rows = [row(1), row(2, state="closed"), row(3, state="filed")]
    assert sorted(item.id for item in select(rows, QueueFilter(state=state)).rows) == ids


def test_camera_filter_matches_a_part_of_the_name() -> None:
    rows = [row(1, camera="Street-1"), row(2, camera="field")]
    assert [item.id for item in select(rows, QueueFilter(camera="street")).rows] == [1]


def test_limit_keeps_the_total() -> None:
    shown = select([row(key) for key in range(1, 31)], QueueFilter(limit=10))
    assert (len(shown.rows), shown.total) == (10, 30)


row_sets = st.dictionaries(
    st.integers(1, 30), st.tuples(st.sampled_from(sorted(Kind)), st.integers(1, 3)), max_size=30
)


@given(row_sets, row_sets, st.integers(1, 12))
def test_difference_leads_from_one_list_to_the_next(
    old: dict[int, tuple[str, int]], new: dict[int, tuple[str, int]], limit: int
) -> None:
    wanted = QueueFilter(limit=limit)
    before, after = (
        select([row(key, Kind(kind), version=version) for key, (kind, version) in rows.items()], wanted)
        for rows in (old, new)
    )
    delta = difference(before, after)
    shown = {item.id: item for item in before.rows}
    if delta is not None:
        for key in delta.drop:
            del shown[key]
        shown |= {item.id: item for item in delta.put}
        assert (delta.total, delta.counts) == (after.total, after.counts)
    assert shown == {item.id: item for item in after.rows}
    assert difference(after, after) is None


def test_row_shows_local_time_and_the_name_people_gave_the_camera() -> None:
    made = row_of(summary(camera_name="东湖北塔", ended_at=AT), timezone(timedelta(hours=8)))
    assert (made.at, made.camera, made.ended, made.severity) == ("2026-11-24 13:00:00", "东湖北塔", True, 1)
    assert row_of(summary(camera=""), UTC).camera == "box-1"


def test_spot_has_an_ellipse_only_where_one_is_known() -> None:
    assert spot_of(summary()) is None
    camera_place = PlaceView(lat_deg=30.5, lon_deg=114.3)
    assert spot_of(summary(place=camera_place)) == Spot(30.5, 114.3, None)
    measured = PlaceView(lat_deg=30.5, lon_deg=114.3, semi_major_m=80, semi_minor_m=20, orientation_deg=10)
    assert spot_of(summary(place=measured)) == Spot(30.5, 114.3, (80, 20, 10))


@pytest.mark.parametrize("bbox", ["", "1,2,3", "a,b,c,d", "3,1,2,2", "1,3,2,2", "nan,0,1,1", "-inf,0,1,1"])
def test_viewport_refuses_what_is_no_box(bbox: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Viewport.parse(bbox, 10)


def test_near_incidents_become_one_number_and_part_as_the_map_comes_nearer() -> None:
    rows = {1: row(1), 2: row(2, Kind.SMOKE), 3: row(3), 4: row(4, state="closed")}
    spots = {key: Spot(30.5 + 0.001 * key, 114.3, (50.0, 20.0, 0.0)) for key in rows}
    far = cluster_incidents(rows, spots, QueueFilter(), Viewport.parse("110,29,118,32", 6))
    assert [(mark["n"], mark["severity"]) for mark in far] == [(3, 1)]
    near = cluster_incidents(rows, spots, QueueFilter(), Viewport.parse("114.2,30.4,114.4,30.6", 19))
    assert sorted(mark["id"] for mark in near) == [1, 2, 3]
    assert all(mark["ellipse"] == (50.0, 20.0, 0.0) for mark in near)
    assert cluster_incidents(rows, spots, QueueFilter(), Viewport.parse("0,0,1,1", 10)) == []


def test_bounds_hold_all_that_has_a_place() -> None:
    assert bounds([], None) is None
    cameras = (115.0, 30.0, 115.0, 30.0)
    assert bounds([Spot(31.0, 114.0, None)], cameras) == (114.0, 30.0, 115.0, 31.0)


def test_neighbours_are_the_open_incidents_around_the_nearest_first() -> None:
    north_deg = 1 / 111_000  # about a metre of latitude
    rows = [row(1), row(2), row(3), row(4, state="closed"), row(5), row(6)]
    spots = {
        1: Spot(30.0, 114.0, None),
        2: Spot(30.0 + 450 * north_deg, 114.0, None),
        3: Spot(30.0, 114.001, None),  # 96 m east
        4: Spot(30.0, 114.0, None),
        5: Spot(30.0 + 600 * north_deg, 114.0, None),
    }
    found = neighbours(1, 30.0, 114.0, rows, spots)
    assert [one.row.id for one in found] == [3, 2]
    assert [one.distance_m for one in found] == pytest.approx([96.5, 449.5], abs=1.5)
    assert neighbours(1, 30.0, 114.0, [], spots) == []
