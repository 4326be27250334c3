"""Streets and roads that run for hours hold what they say, as it really happened."""

from __future__ import annotations

from itertools import pairwise

import pytest

from streams.simulator import SceneTruth, simulate
from streams.simulator.kerb import LEGAL_S

SIZE = (480, 270)


@pytest.fixture(scope="module", params=["kerb", "kerb-across"])
def street(request: pytest.FixtureRequest) -> SceneTruth:
    return simulate(request.param, 2, seconds=1800, fps=0.02, size=SIZE)


def test_stops_are_illegal_by_how_long_they_lasted(street: SceneTruth) -> None:
    assert len(street.events) >= 6
    for event in street.events:
        end_s = street.seconds if event.ended_s is None else event.ended_s
        assert event.alarm == (end_s - event.started_s > LEGAL_S)
        assert event.kind == ("illegal_parking" if event.alarm else "lawful_stop")
    assert {event.alarm for event in street.events} == {True, False}


def test_a_place_is_taken_by_one_vehicle_at_a_time(street: SceneTruth) -> None:
    for place in {round(event.ground_m[0] / 6) for event in street.events}:
        stays = [e for e in street.events if round(e.ground_m[0] / 6) == place and e.ground_m[1] < 3]
        stays.sort(key=lambda event: event.started_s)
        for before, after in pairwise(stays):
            assert before.ended_s is not None
            assert before.ended_s < after.started_s


def test_a_block_begins_when_the_first_stands_for_good_and_ends_with_flow() -> None:
    truth = simulate("arterial", 4, seconds=900, fps=0.5, size=SIZE)
    blocks = [event for event in truth.events if event.alarm]
    assert blocks
    for block in blocks:
        ended_s = block.ended_s or truth.seconds
        for frame in truth.frames:
            if block.started_s + 60 < frame.t_s < ended_s - 2:
                assert sum(box.speed_m_s < 0.3 for box in frame.boxes) >= 5


def test_a_lawful_road_has_queues_and_nothing_to_report() -> None:
    truth = simulate("arterial-lawful", 3, seconds=900, fps=0.02, size=SIZE)
    kinds = [event.kind for event in truth.events]
    assert kinds.count("queue") >= 4
    assert {"stop_and_go", "one_lane"} & set(kinds)
    assert not any(event.alarm for event in truth.events)


def test_a_fallen_load_lies_in_the_picture_for_as_long_as_the_event_says() -> None:
    truth = simulate("arterial-objects", 1, seconds=720, fps=0.1, size=SIZE)
    (event,) = [one for one in truth.events if one.alarm]
    assert event.ended_s is not None
    for frame in truth.frames:
        lying = [box for box in frame.boxes if box.label == "object"]
        assert len(lying) <= (event.started_s <= frame.t_s <= event.ended_s)
    seen = [box for frame in truth.frames for box in frame.boxes if box.label == "object"]
    assert len(seen) > 10
    assert all(box.speed_m_s == 0 for box in seen)
