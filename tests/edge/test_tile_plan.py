"""Which tiles are looked at: along the horizon, where something has changed, and no more than granted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.gate import grid_of
from edge.horizon import STRIPS, Rows, known_horizon, learnt_horizon, strip_middles
from edge.tile_plan import TileBudget, TilePlanner, tiles_of
from models.detections import Detections
from models.tiles import Tile
from streams.frame import Frame, reduce_luma
from towerwatch.geometry.camera import Lens, Pose
from towerwatch.geometry.ground import LevelGround
from towerwatch.geometry.station import Station, Uncertainty

HD = (1920, 1080)
SURE = Uncertainty(0.1, 0.1, 0.1, 0.1, 0.5, 3.0)


def landscape(horizon: Rows, *, size_px: tuple[int, int] = HD) -> np.ndarray:
    """Draw a bright, smooth sky over dark, rough ground."""
    width, height = size_px
    rng = np.random.default_rng(3)
    image = np.full((height, width, 3), 190, np.uint8)
    ground = rng.integers(40, 110, (height // 8 + 1, width // 8 + 1), np.uint8).repeat(8, 0).repeat(8, 1)
    edge = np.interp(np.arange(width) / width, strip_middles(), horizon) * height
    below = np.arange(height)[:, None] >= edge
    image[below] = ground[:height, :width][below][:, None]
    return image


def frame_of(image: np.ndarray, seconds: float = 0.0) -> Frame:
    return Frame(image, datetime(2026, 5, 1, tzinfo=UTC) + timedelta(seconds=seconds), seconds, 0)


@pytest.mark.parametrize(
    "horizon",
    [np.full(STRIPS, 0.3), np.linspace(0.35, 0.6, STRIPS), 0.5 + 0.1 * np.sin(np.arange(STRIPS) / 4)],
    ids=["level", "slanting", "hills"],
)
def test_the_horizon_is_learnt_from_sky_over_ground(horizon: Rows) -> None:
    found = learnt_horizon(reduce_luma(landscape(horizon)))
    assert found is not None
    np.testing.assert_allclose(found, horizon, atol=0.03)


@pytest.mark.parametrize("kind", ["nothing", "noise", "ground above sky"])
def test_a_picture_without_sky_over_ground_has_no_horizon(kind: str) -> None:
    rng = np.random.default_rng(1)
    image = {
        "nothing": np.full((540, 960, 3), 90, np.uint8),
        "noise": rng.integers(60, 120, (540, 960, 3), np.uint8),
        "ground above sky": landscape(np.full(STRIPS, 0.4), size_px=(960, 540))[::-1].copy(),
    }[kind]
    assert learnt_horizon(reduce_luma(image)) is None


@pytest.mark.parametrize(("tilt_deg", "row"), [(0.0, 0.5), (-5.0, 0.35), (-60.0, None)])
def test_a_calibrated_view_knows_its_horizon(tilt_deg: float, row: float | None) -> None:
    lens = Lens(HD)
    station = Station(
        lat_deg=34.0, lon_deg=109.0, height_m=35.0, lens=lens, pose=Pose(90.0, tilt_deg, 0.0, 54.0),
        sd=SURE, ground=LevelGround(), max_range_m=10_000.0,
    )  # fmt: skip
    found = known_horizon(station)
    if row is None:
        assert found is None
        return
    assert found is not None
    np.testing.assert_allclose(found, row, atol=0.02)


@given(
    width=st.integers(640, 4000),
    height=st.integers(360, 3000),
    row=st.one_of(st.none(), st.floats(0.0, 1.0)),
)
def test_tiles_cover_the_picture_and_one_row_of_them_the_horizon(
    width: int, height: int, row: float | None
) -> None:
    tiles = tiles_of((width, height), 640, None if row is None else np.full(STRIPS, row))
    covered = np.zeros((height, width), np.bool_)
    for tile, _ in tiles:
        assert tile.left >= 0 <= tile.top
        assert tile.left + tile.width <= width
        assert tile.top + tile.height <= height
        covered[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = True
    assert covered[::16, ::16].all()
    if row is not None:
        band = [tile for tile, lies in tiles if lies]
        assert len(band) == len({tile.left for tile, _ in tiles})
        assert all(tile.top <= row * height <= tile.top + tile.height for tile in band)


class Eye:
    """A planner over a landscape, asked once in so many seconds."""

    def __init__(self, budget: TileBudget | None = None) -> None:
        horizon = np.full(STRIPS, 0.4)
        self.planner = TilePlanner("cam", 640, budget, lambda _size: horizon)
        self.image = landscape(horizon)
        self.tiles = tiles_of(HD, 640, horizon)
        self.grid = grid_of(frame_of(self.image).reduced)

    def plan(self, seconds: float, *changed: Tile) -> list[Tile]:
        cells = np.zeros(self.grid, np.bool_)
        for tile in changed:  # about its middle
            cells[(tile.top + tile.height // 2) // 48, (tile.left + tile.width // 2) // 48] = True
        return self.planner.plan(frame_of(self.image, seconds), cells, seconds)

    @property
    def band(self) -> list[Tile]:
        return [tile for tile, lies in self.tiles if lies]

    @property
    def others(self) -> list[Tile]:
        return [tile for tile, lies in self.tiles if not lies]


def test_without_a_change_the_tiles_along_the_horizon_are_looked_at() -> None:
    eye = Eye()
    assert eye.plan(0.0) == eye.band
    assert 1 + len(eye.band) <= 9 / 2, "at most half of the runs of exhaustive tiles"


def test_without_a_horizon_looking_begins_in_the_middle_and_goes_round() -> None:
    eye = Eye()
    eye.planner.horizon_of = lambda _size: None
    eye.image = np.full_like(eye.image, 90)
    rounds = [eye.plan(float(second)) for second in range(3)]
    assert [len(tiles) for tiles in rounds] == [3, 3, 3]
    assert {tile.top for tile in rounds[0]} == {134}
    assert len({tile for tiles in rounds for tile in tiles}) == 9


def test_a_change_elsewhere_is_looked_at_too_and_until_it_was() -> None:
    eye = Eye(TileBudget(1.0, 1))
    low = eye.others[-1]
    eye.plan(0.0, low)  # one is granted: the first along the horizon was never looked at
    seen = [tile for second in range(1, 5) for tile in eye.plan(float(second))]
    assert low in seen
    assert set(eye.band) <= {*seen, eye.band[0]}
    assert low not in [tile for second in range(5, 12) for tile in eye.plan(float(second))]


def test_where_something_was_found_is_looked_at_again_first() -> None:
    eye = Eye(TileBudget(1.0, 1))
    last = eye.band[-1]
    middle = (last.left + last.width / 2, last.top + last.height / 2)
    eye.plan(0.0)
    eye.planner.saw(
        Detections.of([[middle[0], middle[1], middle[0] + 9, middle[1] + 9]], [0.4], [0], ("smoke",))
    )
    assert eye.plan(1.0) == [last]
    eye.planner.saw(Detections.empty(("smoke",)))
    assert [eye.plan(float(second)) for second in (2, 3, 4)] == [[last]] * 3, "a plume may be missed at times"
    assert eye.plan(5.0) != [last]


def test_a_picture_no_larger_than_a_tile_is_its_own_tile() -> None:
    planner = TilePlanner("cam", 640, None, lambda _size: None)
    frame = frame_of(np.zeros((360, 640, 3), np.uint8))
    assert planner.plan(frame, np.ones(grid_of(frame.reduced), np.bool_), 0.0) == []


def test_all_cameras_share_so_many_tiles_a_second_and_the_last_gets_its_part() -> None:
    budget = TileBudget(10.0, 5)
    granted = dict.fromkeys("abcde", 0)
    for step in range(1, 101):
        for camera in granted:  # always in this order, and all want more than there is
            granted[camera] += budget.take(camera, 9, step * 2.0)
    assert sum(granted.values()) <= 10.0 * 200 + 5 * 10
    assert max(granted.values()) <= 1.1 * min(granted.values())


def test_what_one_camera_does_not_use_another_may() -> None:
    budget = TileBudget(10.0, 2)
    greedy = 0
    for step in range(1, 101):
        budget.take("modest", 1, step * 1.0)
        greedy += budget.take("greedy", 99, step * 1.0)
    assert greedy == pytest.approx(9.0 * 100, rel=0.05)


def test_no_budget_no_tiles() -> None:
    eye = Eye(TileBudget(0.0, 1))
    assert [eye.plan(float(second)) for second in range(5)] == [[]] * 5
