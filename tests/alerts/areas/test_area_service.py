import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from area_kit import collection, feature, square, town, write_roster
from central_kit import alert, apply_all, place
from sqlalchemy import select

from alerts.areas.geojson import read_areas
from alerts.areas.placing import place_incident
from alerts.areas.roster import read_roster
from alerts.areas.service import AreaService
from alerts.services.errors import Conflict
from alerts.services.live import LiveService
from alerts.store.city import IncidentArea
from alerts.store.tables import Incident

MONDAY_NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
MONDAY_NIGHT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def areas(database):
    return AreaService(database, ZoneInfo("Asia/Shanghai"))


@pytest.fixture
def read(tmp_path):
    def read(document):
        (tmp_path / "areas.geojson").write_text(json.dumps(document), encoding="utf-8")
        return read_areas(tmp_path / "areas.geojson")

    return read


@pytest.fixture
def manned(areas, read, tmp_path):
    """The town with its roster."""
    assert areas.import_areas(read(town()), "li") == 5
    rows = read_roster(write_roster(tmp_path / "r.csv"), {area.id for area in areas.list_areas()})
    assert areas.import_roster(rows, "li") == 5
    return areas


@pytest.mark.parametrize(
    ("lat", "lon", "at", "department", "people"),
    [
        pytest.param(33.05, 112.05, MONDAY_NOON, None, ["Li"], id="the grid worker"),
        pytest.param(33.15, 112.15, MONDAY_NOON, None, [], id="no grid worker outside the cell"),
        pytest.param(33.05, 112.05, MONDAY_NOON, "police", ["Wang"], id="by day"),
        pytest.param(33.05, 112.05, MONDAY_NIGHT, "police", ["Zhao"], id="by night, in local time"),
        pytest.param(
            33.05, 112.05, MONDAY_NOON, "fire", ["Qian"], id="the city's where nobody nearer is on duty"
        ),
        pytest.param(33.9, 112.9, MONDAY_NOON, "police", [], id="nobody"),
        pytest.param(40, 112, MONDAY_NOON, "fire", [], id="outside of all areas"),
    ],
)
def test_who_is_in_charge_for_a_place_and_time(manned, lat, lon, at, department, people):
    found = manned.in_charge(lat, lon, at, department)
    assert [duty.person for duty in found.on_duty] == people


def test_a_place_is_named_by_its_areas(manned):
    assert [area.zh for area in manned.in_charge(33.05, 112.05).areas] == ["g1区", "t1区", "west区", "city区"]


def placed(database):
    with database.read() as session:
        rows = session.scalars(select(IncidentArea.area).order_by(IncidentArea.area))
        return list(rows)


def test_an_incident_lies_in_all_its_areas_and_is_placed_anew_when_they_change(database, manned, read):
    apply_all(database, [alert("a", position=place(33.05, 112.05)), alert("a", "updated", 1)])
    assert placed(database) == ["city", "g1", "t1", "west"]
    document = town()
    document["features"][4] = feature("g1", "grid", square(112.1, 33.1, 112.2, 33.2))
    manned.import_areas(read(document), "li")
    assert placed(database) == ["city", "t1", "west"]
    with database.write() as session:
        incident = session.get(Incident, 1)
        incident.lat_deg, incident.lon_deg = 33.15, 112.9
        place_incident(session, incident)
    assert placed(database) == ["city", "east"]


def test_an_incident_without_a_place_lies_nowhere(database, manned):
    apply_all(database, [alert("a")])
    assert placed(database) == []


def test_an_area_that_somebody_answers_for_is_not_taken_away(areas, manned, read):
    document = town()
    del document["features"][4]
    with pytest.raises(Conflict, match="area g1 still has a shift"):
        areas.import_areas(read(document), "li")
    assert len(areas.list_areas()) == 5


def test_areas_are_renamed_moved_under_others_and_taken_away(areas, read):
    areas.import_areas(read(town()), "li")
    document = collection(
        feature("city", "city", square(112, 33, 113, 34)),
        feature("all", "county", square(112, 33, 113, 34)),
        feature("t1", "township", square(112, 33, 112.2, 33.2), zh="新名"),
    )
    areas.import_areas(read(document), "li")
    assert [(area.id, area.zh, area.parent) for area in areas.list_areas()] == [
        ("city", "city区", None),
        ("all", "all区", "city"),
        ("t1", "新名", "all"),
    ]


def test_another_process_sees_new_areas_at_once(database, areas, read):
    other, live = AreaService(database, ZoneInfo("Asia/Shanghai")), LiveService(database)
    assert (other.list_areas(), live.poll()) == ((), [])
    areas.import_areas(read(town()), "li")
    assert len(other.list_areas()) == 5
    assert other.shapes()[0].polygon.area == 1
    assert [change.topic for change in live.poll()] == ["resync"]


def test_a_shift_in_an_area_that_is_not_there_is_refused(manned, tmp_path):
    rows = read_roster(write_roster(tmp_path / "r.csv"), {"g1", "t1", "west", "city"})
    moved = [rows[0].model_copy(update={"area": "g9"})]
    with pytest.raises(Conflict, match="no area g9"):
        manned.import_roster(moved, "li")
    assert len(manned.list_shifts()) == 5
