"""Truth files come back as they were written, and others are refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.simulator import SceneTruth, TruthBox, TruthEvent, TruthFrame, TruthZone, read_truth, write_truth
from streams.simulator.truth import TruthCamera, TruthError


@pytest.fixture
def truth() -> SceneTruth:
    box = TruthBox(4, "car", (0.1, 0.2, 0.3, 0.4), 0.75, 8.5)
    event = TruthEvent("illegal_parking", True, 12.5, None, "kerb", (0.1, 0.2, 0.3, 0.4), (1.5, -2.0), 4)
    return SceneTruth(
        scene="street",
        seed=3,
        fps=5.0,
        size=(960, 540),
        seconds=60.0,
        camera=TruthCamera(10.0, 3.0, 28.0, 0.5, 60.0),
        zones=(TruthZone("kerb", "no_parking", ((0.0, 0.5), (1.0, 0.5), (1.0, 0.75))),),
        events=(
            event,
            TruthEvent("lawful_stop", False, 20.0, 28.0, "kerb", (0.0, 0.0, 0.5, 0.5), (0.0, 0.0)),
        ),
        frames=(TruthFrame(0.0, ()), TruthFrame(0.2, (box,))),
    )


def test_what_is_written_is_read(truth: SceneTruth, tmp_path: Path) -> None:
    path = tmp_path / "street.truth.json"
    write_truth(truth, path)
    assert read_truth(path) == truth


def test_pixels_of_a_box() -> None:
    assert TruthBox(1, "car", (0.5, 0.25, 1.0, 0.5), 1.0).pixels((200, 100)) == (100, 25, 200, 50)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda d: d | {"schema_version": 9}, "schema_version 9", id="another-version"),
        pytest.param(lambda d: {k: v for k, v in d.items() if k != "zones"}, "zones", id="no-zones"),
        pytest.param(lambda d: d | {"size": [1]}, "is no truth file", id="half-a-size"),
        pytest.param(lambda d: d | {"camera": {"height_m": 1}}, "is no truth file", id="half-a-camera"),
        pytest.param(lambda _d: [], "is no truth file", id="a-list"),
        pytest.param(lambda d: d | {"events": ["x"]}, "events.0: ", id="an-event-that-is-none"),
        pytest.param(
            lambda d: d | {"events": [d["events"][0] | {"started_s": 1e308}]},
            "events.0.started_s: Input should be less",
            id="after-all-time",
        ),
        pytest.param(lambda d: d | {"start_at": "0001-01-01T00:00:00+14:00"}, "Overflow", id="before-time"),
    ],
)
def test_other_files_are_refused(truth: SceneTruth, tmp_path: Path, change, said: str) -> None:
    path = tmp_path / "t.json"
    write_truth(truth, path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(TruthError, match=said) as caught:
        read_truth(path)
    assert str(path) in str(caught.value)


def test_absent_or_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="cannot be read"):
        read_truth(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"schema')
    with pytest.raises(TruthError, match="is no truth file"):
        read_truth(tmp_path / "half.json")
