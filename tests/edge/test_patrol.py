"""Where a head looks by its timetable, and when it is on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from edge_scenes import camera
from pydantic import ValidationError

from edge.patrol import Patrol

START = datetime(2026, 5, 1, 8, tzinfo=UTC)
ROUND = Patrol.model_validate(
    {
        "started_at": START.isoformat(),
        "slew_s": 4,
        "stops": [{"preset": "north", "dwell_s": 16}, {"preset": "east", "dwell_s": 10}],
    }
)


@pytest.mark.parametrize(
    ("seconds", "preset"),
    [(0, "north"), (15.9, "north"), (16, None), (19.9, None), (20, "east"), (30, None), (34, "north"),
     (-2, None), (-34, "north")],
)  # fmt: skip
def test_it_looks_where_the_timetable_says(seconds: float, preset: str | None) -> None:
    assert ROUND.round_s == 34
    assert ROUND.preset_at(START + timedelta(seconds=seconds)) == preset


def test_a_stop_without_a_view_is_refused() -> None:
    rules = [{"kind": "smoke"}]
    views = [{"preset": "north", "rules": rules}, {"preset": "west", "rules": rules}]
    with pytest.raises(ValidationError, match="no view 'east'"):
        camera([], views=views, patrol=ROUND)


def test_a_head_that_is_steered_keeps_no_timetable() -> None:
    views = [
        {"preset": "north", "rules": [{"kind": "smoke"}]},
        {"preset": "east", "rules": [{"kind": "smoke"}]},
    ]
    with pytest.raises(ValidationError, match="steered keeps no timetable"):
        camera([], views=views, patrol=ROUND, onvif={"url": "http://192.0.2.1", "steer": True})
