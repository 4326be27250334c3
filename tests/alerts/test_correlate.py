from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from central_kit import at
from hypothesis import given
from hypothesis import strategies as st

from alerts.correlate import POLICIES, SMOKE_MARGIN_M, Ellipse, Facts, key_of, same_incident
from alerts.messages import Kind

NORTH_100M_DEG = 100 / 110_904.4  # a degree of latitude at 33 degrees on WGS 84


def facts(kind=Kind.ILLEGAL_PARKING, **changes):
    base = Facts(kind, "box-1", "cam-1", "fixed", "kerb", "kerb/1", at(0), at(600))
    return replace(base, **changes)


SAME = {
    "the very same": {},
    "overlapping in time": {"started_at": at(300), "ended_at": at(900)},
    "still open, begun long before": {"started_at": at(-90_000), "ended_at": None},
    "8 s after the other": {"started_at": at(608), "ended_at": at(900)},
}
OTHER = {
    "a spot 15 m on": {"place_key": "kerb/2"},
    "another camera": {"camera": "cam-2"},
    "another box with the same names": {"edge": "box-2"},
    "another preset": {"preset": "p2"},
    "another kind": {"kind": Kind.STOPPED_VEHICLE},
    "the next car, a minute after": {"started_at": at(660), "ended_at": at(900)},
    "the car before": {"started_at": at(-900), "ended_at": at(-60)},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_parking_is_one_incident_on_the_same_spot_at_the_same_time(changes):
    assert same_incident(facts(), facts(**changes))


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER)
def test_parking_elsewhere_or_later_is_another_incident(changes):
    assert not same_incident(facts(), facts(**changes))


@pytest.mark.parametrize(
    ("kind", "changes", "same"),
    [
        (Kind.BLOCKED_ROAD, {"place_key": "x"}, True),
        (Kind.BLOCKED_ROAD, {"zone": "road-2"}, False),
        (Kind.BLOCKED_ROAD, {"started_at": at(1100), "ended_at": None}, True),
        (Kind.BLOCKED_ROAD, {"started_at": at(1300), "ended_at": None}, False),
        (Kind.CAMERA_BLIND, {"preset": "p2", "place_key": "x", "zone": None}, True),
        (Kind.CAMERA_BLIND, {"camera": "cam-2"}, False),
        (Kind.EDGE_SILENT, {"camera": "any"}, True),
        (Kind.EDGE_SILENT, {"edge": "box-2"}, False),
        (Kind.SMOKE, {"started_at": at(2300), "ended_at": None}, True),
        (Kind.SMOKE, {"started_at": at(2500), "ended_at": None}, False),
        (Kind.SMOKE, {"place_key": "x"}, False),
    ],
)
def test_each_kind_has_its_own_place_and_gap(kind, changes, same):
    assert same_incident(facts(kind), facts(kind, **changes)) is same


def test_a_blocked_road_without_a_zone_is_told_by_its_place_key():
    assert key_of(facts(Kind.BLOCKED_ROAD, zone=None)) != key_of(
        facts(Kind.BLOCKED_ROAD, zone=None, place_key="other")
    )


def plume(metres_north, major_m=100.0, minor_m=10.0, orientation_deg=0.0, edge="tower-2"):
    ellipse = Ellipse(33 + metres_north / 100 * NORTH_100M_DEG, 112.0, major_m, minor_m, orientation_deg)
    return facts(Kind.SMOKE, edge=edge, ellipse=ellipse)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (plume(399), True),
        (plume(401), False),
        (plume(-399), True),
        (plume(309, orientation_deg=90), True),
        (plume(311, orientation_deg=90), False),
        (plume(300, major_m=0, minor_m=0), True),
        (plume(302, major_m=0, minor_m=0), False),
    ],
    ids=["along", "along, beyond", "southwards", "across", "across, beyond", "a point", "a point, beyond"],
)
def test_smoke_of_two_towers_is_one_when_their_ellipses_meet(other, same):
    # two major semi-axes of 100 m (or 100 + 10 across, or 100 + 1 of a point) and the margin
    assert SMOKE_MARGIN_M == 200
    assert same_incident(plume(0, edge="tower-1"), other) is same


def test_smoke_across_the_date_line_is_near():
    west = facts(Kind.SMOKE, edge="a", ellipse=Ellipse(0, 179.9999, 50, 50, 0))
    east = facts(Kind.SMOKE, edge="b", ellipse=Ellipse(0, -179.9999, 50, 50, 0))
    assert same_incident(west, east)


def test_smoke_without_a_position_is_joined_by_camera_and_place_alone():
    assert not same_incident(facts(Kind.SMOKE, edge="a"), plume(0, edge="b"))


def test_every_kind_has_a_policy():
    assert set(POLICIES) == set(Kind)


times = st.integers(-5000, 5000)


@st.composite
def any_facts(draw):
    start = at(draw(times))
    length = draw(st.none() | st.integers(0, 3000))
    ellipse = draw(
        st.none()
        | st.builds(
            Ellipse,
            st.floats(32.99, 33.01),
            st.floats(111.99, 112.01),
            st.floats(0, 500),
            st.floats(0, 500),
            st.floats(0, 179),
        )
    )
    return Facts(
        draw(st.sampled_from(Kind)),
        draw(st.sampled_from(["a", "b"])),
        "cam",
        "fixed",
        draw(st.none() | st.just("z")),
        draw(st.sampled_from(["p", "q"])),
        start,
        None if length is None else start + timedelta(seconds=length),
        ellipse,
    )


@given(any_facts(), any_facts())
def test_being_the_same_incident_is_symmetric(one, other):
    assert same_incident(one, other) == same_incident(other, one)


@given(any_facts())
def test_an_alert_is_the_same_incident_as_itself(one):
    assert same_incident(one, one)


def test_the_gap_of_a_spot_is_shorter_than_a_dwell():
    for one, other in pairwise([Kind.ILLEGAL_PARKING, Kind.STOPPED_VEHICLE]):
        assert POLICIES[one].gap_s == POLICIES[other].gap_s == 10
