"""Sights of two towers cross in one place, against truth from PROJ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from central_kit import alert, apply_all, at
from ground_truth import apart_m as truly_apart_m
from ground_truth import inside, place

from alerts.correlate import Facts, same_incident
from alerts.crossing import apart_m, crossed
from alerts.messages import Kind, Position
from towerwatch.geometry.ellipse import Ellipse

PLUME = (33.0, 112.0)


def sight(bearing_deg, *, short_m=0.0, aside_m=0.0, major_m=400.0, minor_m=12.0, of=PLUME):
    """The ellipse of a tower that sees ``of`` under a bearing, and misses it by so much."""
    lat, lon = place(*of, bearing_deg + 180, short_m)
    lat, lon = place(lat, lon, bearing_deg + 90, aside_m)
    return Ellipse(lat, lon, major_m, minor_m, bearing_deg % 180, bearing_deg % 360)


@pytest.mark.parametrize(
    ("other", "expected_m"),
    [
        (Ellipse(*place(*PLUME, 0, 1000), 300, 100, 0), 400.0),
        (Ellipse(*place(*PLUME, 0, 1000), 300, 100, 90), 600.0),
        (Ellipse(*place(*PLUME, 90, 1000), 300, 100, 90), 600.0),
        (Ellipse(*place(*PLUME, 45, 1000), 300, 100, 135), None),
        (Ellipse(*place(*PLUME, 0, 500), 300, 100, 0), 0.0),
        (Ellipse(*PLUME, 0, 0, 0), 0.0),
    ],
    ids=["end to end", "end to side", "side to end", "skew", "overlapping", "a point inside"],
)
def test_the_distance_between_ellipses(other, expected_m):
    one = Ellipse(*PLUME, 300, 100, 0)
    if expected_m is None:
        turn = np.linspace(0, 2 * np.pi, 3000)
        rim = np.stack([100 * np.sin(turn), 300 * np.cos(turn)])
        along, across = 300 * np.cos(turn), 100 * np.sin(turn)
        c = np.sqrt(0.5)
        other_rim = np.stack([1000 * c + along * c - across * c, 1000 * c - along * c - across * c])
        gaps = np.hypot(*(rim[:, :, None] - other_rim[:, None, ::10]))
        expected_m = gaps.min()
    assert apart_m(one, other) == pytest.approx(expected_m, abs=1.5)
    assert apart_m(other, one) == pytest.approx(apart_m(one, other), abs=0.1)


def test_two_long_sights_cross_in_a_short_one():
    found = crossed([sight(20, short_m=150), sight(110, short_m=-120)])
    assert truly_apart_m(found.lat_deg, found.lon_deg, *PLUME) < 1
    assert found.semi_major_m == pytest.approx(12, rel=0.02)
    assert found.bearing_deg is None


def test_parallel_sights_are_no_surer_of_the_distance_than_the_surer_one():
    found = crossed([sight(20, short_m=100), sight(20, short_m=-100, major_m=300)])
    assert 200 < found.semi_major_m < 300
    assert found.orientation_deg == pytest.approx(20, abs=0.1)
    assert found.semi_minor_m == pytest.approx(12 / np.sqrt(2), rel=0.01)


def test_one_sight_stays_as_it_is():
    only = sight(250)
    assert crossed([only]) == only


def test_a_sight_of_something_else_is_left_out():
    strange = sight(110, of=place(*PLUME, 0, 2000), major_m=100)
    seen = [sight(20, major_m=90), sight(100, major_m=95)]
    assert crossed([*seen, strange]) == crossed(seen)
    assert inside(crossed(seen), *PLUME)


def test_ellipses_that_cross_away_from_the_line_between_their_middles_are_one_plume():
    one = Facts(Kind.SMOKE, "tower-1", "c", "p", None, "a", at(0), at(60), sight(0, short_m=600, major_m=800))
    other = replace(one, edge="tower-2", place_key="b", ellipse=sight(90, short_m=-600, major_m=800))
    assert same_incident(one, other)
    # 1,000 m east of the crossing, the second one reaches only 800 m back, less the 200 m of drift
    away = sight(90, short_m=-1050, major_m=800)
    assert not same_incident(one, replace(other, ellipse=away))


@pytest.mark.parametrize("least_deg", [20.0, 60.0])
def test_the_crossing_of_noisy_bearings_is_as_good_as_it_says(least_deg):
    rng = np.random.default_rng(11)
    held, misses = 0, []
    for _ in range(1000):
        bearing = rng.uniform(0, 360)
        turn = rng.uniform(least_deg, 180 - least_deg) * rng.choice([-1, 1])
        sights = [
            sight(b % 360, short_m=rng.normal(0, 160), aside_m=rng.normal(0, 5), major_m=160 * 2.448,
                  minor_m=5 * 2.448)
            for b in (bearing, bearing + turn)
        ]  # fmt: skip
        found = crossed(sights)
        held += inside(found, *PLUME)
        misses.append(truly_apart_m(found.lat_deg, found.lon_deg, *PLUME))
    assert 0.93 <= held / 1000 <= 0.97
    assert np.quantile(misses, 0.9) < 50


def test_two_towers_make_one_incident_at_the_crossing(database, services):
    positions = [
        Position(**{name: getattr(seen, name) for name in Position.model_fields})
        for seen in (sight(20, short_m=300), sight(110, short_m=-250), sight(21, short_m=310, major_m=500))
    ]
    apply_all(
        database,
        [
            alert("a", kind=Kind.SMOKE, edge="tower-1", camera="c1", place_key="a", position=positions[0]),
            alert("b", kind=Kind.SMOKE, edge="tower-2", camera="c1", place_key="b", position=positions[1]),
            alert("c", kind=Kind.SMOKE, edge="tower-1", camera="c1", place_key="c", position=positions[2]),
        ],
    )
    (incident,) = services.incidents.list_incidents().items
    assert incident.alert_count == 3
    assert truly_apart_m(incident.place.lat_deg, incident.place.lon_deg, *PLUME) < 5
    assert incident.place.semi_major_m < 15
