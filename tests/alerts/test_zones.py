"""Zones put into a configuration: nothing else changes, and what is no zone is refused."""

import difflib
from pathlib import Path

import pytest
import yaml

from alerts.evidence import BlobStore
from alerts.services.errors import Conflict, Invalid, NotFound
from alerts.services.zones import ZoneService
from alerts.store.tables import Command, Edge
from alerts.zones import ViewZones, ZoneShape, views_of, with_zones
from towerwatch.timebase import utc_now

STREET = (Path(__file__).parents[2] / "configs" / "examples" / "street.yaml").read_text(encoding="utf-8")
KERB = ZoneShape("kerb", ((0.1, 0.6), (0.9, 0.6), (0.9, 0.8), (0.1, 0.8)))
EAST = ZoneShape("eastbound", ((0.0, 0.4), (1.0, 0.4), (1.0, 0.5)))
BLOCK = """\
cameras:
  - id: a  # the first
    views:
      - preset: north
        zones:
          - id: kerb
            points:
              - [0, 0]
              - [1, 0]
              - [1, 1]
        # a rule of its own
        rules: [{kind: illegal_parking, zone: kerb}]
      - preset: south
        rules: [{kind: smoke}]
  - {id: b, views: [{rules: [{kind: smoke}]}]}
"""


def test_zones_are_read_with_the_rules_that_speak_of_them():
    (view,) = views_of(STREET, "market-street")
    assert (view.preset, view.ruled) == ("fixed", {"kerb", "eastbound"})
    assert [zone.id for zone in view.zones] == ["kerb", "eastbound"]
    assert view.zones[0].points[0] == (0.05, 0.6)


def test_other_zones_change_the_lines_of_the_zones_alone():
    changed = with_zones(STREET, "market-street", "fixed", [KERB, EAST])
    assert views_of(changed, "market-street")[0].zones == (KERB, EAST)
    lines = [line[2:] for line in difflib.ndiff(STREET.splitlines(), changed.splitlines()) if line[0] in "+-"]
    assert all("points" in line or "a zone for each direction" in line for line in lines)


@pytest.mark.parametrize(
    ("camera", "preset", "zones"),
    [("a", "north", (KERB,)), ("a", "south", (KERB, EAST)), ("b", "fixed", (EAST,)), ("a", "south", ())],
    ids=["block", "a view without", "in braces", "none"],
)
def test_zones_go_into_a_file_however_it_is_written(camera, preset, zones):
    changed = with_zones(BLOCK, camera, preset, zones)
    (view,) = (view for view in views_of(changed, camera) if view.preset == preset)
    assert view.zones == zones
    assert "# the first" in changed
    assert "# a rule of its own" in changed
    assert yaml.safe_load(changed)["cameras"][0]["views"][0]["rules"] == [
        {"kind": "illegal_parking", "zone": "kerb"}
    ]


BAD = {
    "a rule loses its zone": ([EAST], "rule of this view speaks of zone kerb"),
    "twice": ([KERB, KERB, EAST], "twice"),
    "no id": ([KERB, EAST, ZoneShape("My Zone", KERB.points)], "an id of a to z"),
    "two corners": ([KERB, ZoneShape("eastbound", ((0, 0), (1, 1)))], "2 corners"),
    "outside": ([KERB, ZoneShape("eastbound", ((0, 0), (1.2, 0), (1, 1)))], "beyond the picture"),
    "crossing": ([KERB, ZoneShape("eastbound", ((0, 0), (1, 1), (1, 0), (0, 1)))], "crosses itself"),
}


@pytest.mark.parametrize(("zones", "text"), BAD.values(), ids=BAD)
def test_what_is_no_zone_is_refused(zones, text):
    with pytest.raises(Invalid, match=text):
        with_zones(STREET, "market-street", "fixed", zones)


def test_a_camera_or_view_that_is_not_there_is_refused():
    with pytest.raises(NotFound, match="no camera elsewhere"):
        views_of(STREET, "elsewhere")
    with pytest.raises(NotFound, match="no view north"):
        with_zones(STREET, "market-street", "north", [KERB, EAST])


@pytest.fixture
def zones(sqlite, tmp_path):
    with sqlite.write() as session:
        session.add(Edge(id="box-1", site="riverside", first_seen_at=utc_now()))
    store = BlobStore(tmp_path / "artifacts")
    store.open()
    return ZoneService(sqlite, store)


def runs(database, sha256):
    with database.write() as session:
        session.get_one(Edge, "box-1").config_sha256 = sha256


def test_a_box_is_asked_to_try_the_next_version_of_what_it_runs(zones, sqlite, tmp_path):
    with pytest.raises(NotFound, match="has not said yet"):
        zones.of_camera("box-1", "market-street")
    sha256, _size = BlobStore(tmp_path / "artifacts").add_bytes(STREET.encode()), None
    BlobStore(tmp_path / "artifacts").remove(sha256)
    runs(sqlite, sha256)
    with pytest.raises(NotFound, match="does not hold"):
        zones.of_camera("box-1", "market-street")
    with pytest.raises(Invalid, match="not the configuration"):
        zones.keep_config("box-1", BLOCK.encode(), "chief")
    zones.keep_config("box-1", STREET.encode(), "chief")
    found = zones.of_camera("box-1", "market-street")
    assert isinstance(found.views[0], ViewZones)

    sent = zones.send("box-1", "market-street", "fixed", [KERB, EAST], version=found.version, user="chief")
    assert zones.state(sent).ok is None
    with sqlite.write() as session:
        command = session.get_one(Command, sent)
        assert command.name == "apply_config"
        command.ok, command.detail = True, "applied"
        new = command.arguments["sha256"]
    runs(sqlite, new)
    assert zones.of_camera("box-1", "market-street").views[0].zones == (KERB, EAST)
    with pytest.raises(Conflict, match="another configuration"):
        zones.send("box-1", "market-street", "fixed", [KERB, EAST], version=found.version, user="chief")
