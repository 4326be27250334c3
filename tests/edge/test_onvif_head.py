"""A head is asked where it looks, over real SOAP on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from onvif_camera import OnvifCamera
from pydantic import ValidationError

from edge.onvif_client import OnvifConfig, judge_place
from edge.onvif_head import FRESH_S, SETTLE_S, OnvifHead
from towerwatch.errors import RetryableError

PRESETS = {"north": (0.1, 0.0, 0.2), "east": (0.6, 0.0, 0.2)}


@pytest.fixture
def camera() -> Iterator[OnvifCamera]:
    with OnvifCamera(dict(PRESETS), at=PRESETS["north"]) as served:
        yield served


def head_of(
    camera: OnvifCamera, presets: tuple[str, ...] = ("north", "east"), *, steer: bool = False
) -> OnvifHead:
    return OnvifHead(OnvifConfig(url=camera.url, steer=steer), presets, "admin", None)


def until(holds: Callable[[], bool]) -> None:
    waiting = threading.Event()
    end_s = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < end_s
        waiting.wait(0.02)


@pytest.mark.parametrize(
    ("place", "moving", "preset"),
    [
        pytest.param((0.105, 0.004, 0.2), False, "north", id="near a preset"),
        pytest.param((0.6, 0.0, 0.2), True, None, id="at a preset, on its way"),
        pytest.param((0.3, 0.0, 0.2), False, None, id="between two"),
        pytest.param((0.6, 0.0, 0.5), False, None, id="zoomed in"),
    ],
)
def test_a_preset_is_known_by_its_place(
    place: tuple[float, float, float], preset: str | None, *, moving: bool
) -> None:
    assert judge_place(place, PRESETS, 0.01, moving=moving).preset == preset


def test_a_head_is_followed_from_preset_to_preset_and_a_silent_one_is_told(camera: OnvifCamera) -> None:
    head = head_of(camera)
    assert head.sight(time.monotonic()) is None
    head.start()
    try:
        until(lambda: (now := head.sight(time.monotonic() + SETTLE_S)) is not None and now.preset == "north")
        camera.at, camera.moving = PRESETS["east"], True
        until(lambda: (now := head.sight(time.monotonic())) is not None and now.moving)
        camera.moving = False
        until(lambda: (now := head.sight(time.monotonic() + SETTLE_S)) is not None and now.preset == "east")
        assert head.note(time.monotonic()) == ""
        camera.at = (-0.9, 0.0, 0.0)
        until(lambda: "none of the presets (pan -0.900" in head.note(time.monotonic()))
        camera.refusing = True
        until(lambda: "not authorised" in head.note(time.monotonic() + FRESH_S))
        assert head.sight(time.monotonic() + FRESH_S) is None
    finally:
        assert head.stop(10.0)


def test_a_camera_without_the_views_presets_is_told_so(camera: OnvifCamera) -> None:
    with pytest.raises(RetryableError, match="no preset west with a position"):
        head_of(camera, ("north", "west")).ask_once()


def test_an_address_with_a_password_is_refused() -> None:
    with pytest.raises(ValidationError, match="stand beside the camera"):
        OnvifConfig(url="http://admin:secret@192.0.2.1")


def test_a_head_is_held_until_its_time_is_over_and_goes_on_when_its_box_stops(camera: OnvifCamera) -> None:
    camera.tour = "Paused"  # by a box that fell
    head = head_of(camera, steer=True)
    head.start()
    try:
        until(lambda: camera.tour == "Touring")
        head.hold(time.monotonic() + 60.0)
        until(lambda: camera.tour == "Paused")
        head.hold(None)
        until(lambda: camera.tour == "Touring")
        head.hold(time.monotonic() + 1.0)
        until(lambda: camera.tour == "Paused")
        until(lambda: camera.tour == "Touring")  # by itself, where no picture comes any more
        head.hold(time.monotonic() + 60.0)
        until(lambda: camera.tour == "Paused")
    finally:
        assert head.stop(10.0)
    assert camera.tour == "Touring"


def test_a_head_that_is_not_ours_is_left_alone_and_one_without_a_tour_is_looked_at_all_the_same(
    camera: OnvifCamera,
) -> None:
    camera.tour = None
    head = head_of(camera, steer=True)
    head.start()
    head.hold(time.monotonic() + 60.0)
    try:
        until(lambda: camera.asked.count("GetPresetTours") == 2)
        asked = len(camera.asked)
        until(lambda: camera.asked[asked:].count("GetStatus") == 2)
        assert camera.asked.count("GetPresetTours") == 2, "it is not asked again for the same candidate"
        assert head.sight(time.monotonic() + SETTLE_S) is not None
    finally:
        assert head.stop(10.0)
    camera.tour, camera.asked = "Paused", []
    foreign = head_of(camera)
    foreign.start()
    try:
        until(lambda: camera.asked.count("GetStatus") == 2)
    finally:
        assert foreign.stop(10.0)
    assert camera.tour == "Paused"
