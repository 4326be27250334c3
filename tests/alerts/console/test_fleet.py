"""The city's cameras in memory: clusters, counts, trouble, search, and what follows changes."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np

from alerts.console.fleet import Fleet
from alerts.console.rows import Viewport
from alerts.services.fleet import CameraState

AT = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
FAR = Viewport.parse("110,29,118,32", 6)


def camera(
    name: str,
    state: str,
    lat: float | None = None,
    lon: float | None = None,
    *,
    edge: str = "box-1",
    age_s: float = 0,
) -> CameraState:
    return CameraState(edge, name, None, lat, lon, state, None, AT - timedelta(seconds=age_s))


def names(fleet: Fleet, text: str, state: str = "") -> list[str]:
    lines, total = fleet.search(text, state, None, 0, 10)
    assert total == len(lines)
    return [line.camera for line in lines]


def test_a_cluster_is_as_bad_as_its_worst_camera() -> None:
    fleet = Fleet([
        *(camera(f"c{n}", "fresh", 30.5, 114.3) for n in range(4)),
        camera("blind", "blind", 30.5, 114.3),
        camera("nowhere", "fresh"),
    ])  # fmt: skip
    (mark,) = fleet.cluster(FAR)
    assert (mark["n"], mark["state"], mark["title"]) == (5, "blind", "c0, c1, c2 …")
    assert fleet.cluster(Viewport.parse("0,0,1,1", 6)) == []
    assert fleet.update([camera("blind", "stale", 30.5, 114.3)])
    assert fleet.cluster(FAR)[0]["state"] == "stale"
    assert fleet.bounds() == (114.3, 30.5, 114.3, 30.5)
    assert Fleet().bounds() is None


def test_cameras_of_a_box_that_is_away_are_offline_until_it_is_back() -> None:
    cameras = [camera("a", "fresh", 30.5, 114.3), camera("b", "blind", 30.5, 114.3, edge="box-2")]
    fleet = Fleet(cameras, {"box-1"})
    assert fleet.counts() == {"offline": 1, "blind": 1, "stale": 0, "starting": 0, "night": 0, "fresh": 0}
    assert fleet.find("box-1", "a") is not None
    fleet.set_away(["box-1", "box-2"], {"box-2"})
    assert fleet.counts() == {"offline": 1, "blind": 0, "stale": 0, "starting": 0, "night": 0, "fresh": 1}
    (mark,) = fleet.cluster(FAR)
    assert mark["state"] == "offline"


def test_a_camera_that_nobody_knew_is_told_apart() -> None:
    fleet = Fleet([camera("a", "fresh")])
    assert not fleet.update([camera("new", "fresh")])
    assert fleet.update([camera("a", "fresh", 30.5, 114.3)])
    assert [mark["camera"] for mark in fleet.cluster(FAR)] == ["a"]


def test_search_and_trouble_have_the_worst_and_the_newest_first() -> None:
    fleet = Fleet([
        camera("street-1", "fresh"), camera("street-2", "blind", age_s=60),
        camera("field-1", "stale", age_s=5),
        camera("field-2", "blind", edge="box-2", age_s=1),
        camera("tower-1", "night"),
    ])  # fmt: skip
    assert names(fleet, "") == ["street-2", "field-2", "field-1", "tower-1", "street-1"]
    assert names(fleet, "STREET") == ["street-2", "street-1"]
    assert names(fleet, "box-2/") == ["field-2"]
    assert names(fleet, "", "blind") == ["street-2", "field-2"]
    assert [line.camera for line in fleet.trouble(None, 9)] == ["field-2", "field-1", "street-2"]
    some = np.array([0, 2])
    assert [line.camera for line in fleet.trouble(some, 9)] == ["field-1"]
    assert fleet.boxes(np.array([3])) == {"box-2"}
    assert fleet.find("box-1", "street-2", some) is None
    lines, total = fleet.search("", "", None, 2, 1)
    assert ([line.camera for line in lines], total) == (["field-1"], 5)


def test_cameras_are_gathered_in_the_cells_in_which_incidents_are() -> None:
    rng = np.random.default_rng(7)
    places = [(float(rng.uniform(-89, 89)), float(rng.uniform(-180, 180))) for _ in range(500)]
    fleet = Fleet(camera(f"c{n}", "fresh", *place) for n, place in enumerate(places))
    for zoom in (0, 3, 12):
        view = Viewport.parse("-180,-90,180,90", zoom)
        cells = Counter(view.cell(*place) for place in places)
        assert sorted(mark["n"] for mark in fleet.cluster(view)) == sorted(cells.values())
