"""A view that was turned, or is another one, is told from weather; a small shift is followed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from edge.view_registration import outline_of, register
from edge.view_watch import ViewState, ViewVerdict, ViewWatch, realigned
from streams.frame import Frame

SIZE = (640, 360)
TURN_3_DEG = 0.056  # of the width of a 54° lens
Image = np.ndarray


def place(seed: int) -> Image:
    """Sky over hills and fields, wider than a picture so that the head can turn."""
    rng = np.random.default_rng(seed)
    width, height = SIZE[0] + 240, SIZE[1] + 80
    rough = rng.normal(0, 1, (height, width)).astype(np.float32)
    land = 110.0 + sum(cv2.GaussianBlur(rough, (0, 0), s) * s * 14 for s in (1, 3, 9))
    ridge = 130 + 30 * np.sin(np.arange(width) / 70 + seed) + 12 * np.sin(np.arange(width) / 19)
    land[np.arange(height)[:, None] < ridge[None]] = 205
    return land


PLACES = [place(seed) for seed in range(3)]


def picture(index: int, *, seed: int = 0, turn: tuple[float, float] = (0.0, 0.0), gain: float = 1.0) -> Image:
    """One picture of a place; ``turn`` moves the view right and down, in fractions of the frame."""
    left, top = round(120 + turn[0] * SIZE[0]), round(40 + turn[1] * SIZE[1])
    level = PLACES[seed][top : top + SIZE[1], left : left + SIZE[0]] * gain
    level = level + np.random.default_rng(index).normal(0, 2, level.shape)
    grey = np.clip(level, 0, 255).astype(np.uint8)
    return np.stack(
        [grey, np.clip(grey * 0.97, 0, 255).astype(np.uint8), (grey * 0.9).astype(np.uint8)], axis=2
    )


def fixed(pictures: int = 5) -> ViewWatch:
    watch = ViewWatch(("fixed",))
    for index in range(pictures):
        assert watch.judge(picture(index), index * 2.0).state is ViewState.SEEN
    return watch


def visit(
    watch: ViewWatch, shown: Callable[[int], Image], start_s: float, expected: str | None = None
) -> list[ViewVerdict]:
    """Four pictures in eight seconds."""
    return [watch.judge(shown(index), start_s + 2.0 * index, expected) for index in range(4)]


@pytest.mark.parametrize("trial", range(12))
def test_a_view_turned_by_three_degrees_is_another_within_one_visit(trial: int) -> None:
    angle = 2 * np.pi * trial / 12
    turn = (TURN_3_DEG * np.cos(angle), TURN_3_DEG * 16 / 9 * np.sin(angle))
    seed = trial % 3
    watch = ViewWatch(("fixed",))
    visit(watch, lambda i: picture(i, seed=seed), 0.0)
    last = visit(watch, lambda i: picture(50 + i, seed=seed, turn=turn, gain=0.8), 60.0)[-1]
    assert last.state is ViewState.MOVED
    assert "turned" in last.detail
    assert visit(watch, lambda i: picture(90 + i, seed=seed), 120.0)[0].state is ViewState.SEEN


def test_a_place_that_was_never_seen_is_another_one() -> None:
    verdicts = visit(fixed(), lambda i: picture(50 + i, seed=1), 60.0)
    assert [one.state for one in verdicts] == [ViewState.DOUBT, ViewState.DOUBT, *[ViewState.MOVED] * 2]
    assert "another place" in verdicts[-1].detail


@pytest.mark.parametrize("turn", [(0.01, 0.0), (-0.02, 0.015), (0.0, -0.02)])
def test_a_small_shift_is_followed_to_the_pixel(turn: tuple[float, float]) -> None:
    verdict = fixed().judge(picture(50, turn=turn), 60.0)
    assert verdict.state is ViewState.SEEN
    turned = Frame(picture(50, turn=turn), datetime(2026, 6, 1, tzinfo=UTC), 50.0, 0)
    back = realigned(turned, verdict.shift).image
    inner = (slice(40, -40), slice(40, -40))
    assert np.abs(back[inner].astype(int) - picture(50)[inner].astype(int)).mean() < 4
    assert back.dtype == np.uint8


def defocused(index: int) -> Image:
    noise = np.random.default_rng(index).normal(0, 2, (SIZE[1], SIZE[0], 1))
    return np.clip(cv2.GaussianBlur(picture(index), (0, 0), 12) + noise, 0, 255).astype(np.uint8)


def grey_cloth(index: int) -> Image:
    rng = np.random.default_rng(4)
    folds = cv2.GaussianBlur(rng.normal(0, 1, (SIZE[1], SIZE[0])).astype(np.float32), (0, 0), 30)
    level = 80 + 30 * folds / folds.std() + np.random.default_rng(index).normal(0, 2, folds.shape)
    return np.repeat(np.clip(level, 0, 240).astype(np.uint8)[:, :, None], 3, axis=2)


def cloth(index: int) -> Image:
    return grey_cloth(index) + np.array([0, 4, 9], np.uint8)


@pytest.mark.parametrize("shown", [defocused, cloth, grey_cloth])
def test_a_lens_out_of_focus_or_covered_hides_the_view(shown: Callable[[int], Image]) -> None:
    watch = fixed()
    verdicts = visit(watch, shown, 60.0)
    assert [one.state for one in verdicts] == [ViewState.DOUBT, ViewState.DOUBT, *[ViewState.HIDDEN] * 2]
    assert watch.judge(picture(99), 70.0).state is ViewState.SEEN


@pytest.mark.parametrize("shown", [cloth, grey_cloth])
def test_a_cover_that_stays_for_hours_is_not_taken_for_weather(shown: Callable[[int], Image]) -> None:
    watch = fixed()
    states = [watch.judge(shown(minutes), 60.0 + 600.0 * minutes).state for minutes in range(12)]
    assert set(states[2:]) == {ViewState.HIDDEN}


def fog(index: int) -> Image:
    thick = min(index / 30, 0.97)
    return (picture(index) * (1 - thick) + 190 * thick).astype(np.uint8)


def rain(index: int) -> Image:
    image = picture(index, gain=0.7)
    rng = np.random.default_rng(index)
    for x, y in rng.integers(0, 600, (150, 2)):
        cv2.line(image, (int(x), int(y % 340)), (int(x) + 2, int(y % 340) + 14), (190, 190, 190), 1)
    return image


def dusk(index: int) -> Image:
    return picture(index, gain=max(0.04, 1 - index / 45))


def infrared(index: int) -> Image:
    """Colour by day; then without it, and the ground glows as leaves do."""
    if index < 20:
        return picture(index)
    grey = 255 - picture(index)[:, :, 0] // 2
    return np.repeat(grey[:, :, None], 3, axis=2)


@pytest.mark.parametrize("weather", [fog, rain, dusk, infrared])
def test_weather_and_night_are_no_other_view(weather: Callable[[int], Image]) -> None:
    watch = fixed()
    states = {watch.judge(weather(index), 20.0 + 10.0 * index).state for index in range(45)}
    assert states == {ViewState.SEEN}


def test_after_a_long_night_without_pictures_another_light_is_learnt_anew() -> None:
    watch = fixed()
    assert watch.judge(picture(9, seed=2), 8 * 3600.0).state is ViewState.SEEN
    turned = visit(watch, lambda i: picture(10 + i, seed=2, turn=(TURN_3_DEG, 0.0)), 8 * 3600.0 + 60)
    assert turned[-1].state is ViewState.MOVED


def patrol() -> ViewWatch:
    return ViewWatch(("a", "b"), {name: outline_of(picture(0, seed=seed)) for seed, name in enumerate("ab")})


def test_a_head_that_turns_without_a_timetable_is_known_by_its_pictures() -> None:
    watch = patrol()
    on_the_way = cv2.blur(picture(1, seed=2), (61, 5))
    seen = [
        watch.judge(picture(1), 0.0),
        watch.judge(picture(2), 2.0),
        watch.judge(on_the_way, 4.0),
        watch.judge(picture(3, seed=1), 6.0),
        watch.judge(picture(4, seed=1), 8.0),
    ]
    assert [(one.state.value, one.preset) for one in seen] == [
        ("seen", "a"), ("seen", "a"), ("moving", None), ("moving", None), ("seen", "b"),
    ]  # fmt: skip


def test_a_preset_missed_is_named_and_the_others_are_still_seen() -> None:
    watch = patrol()
    wrong = visit(watch, lambda i: picture(i, seed=1), 0.0, expected="a")
    assert wrong[-1].state is ViewState.MOVED
    assert wrong[-1].preset == "a"
    assert "shows preset b" in wrong[-1].detail
    assert visit(watch, lambda i: picture(i, seed=1), 60.0, expected="b")[-1].state is ViewState.SEEN


def test_a_head_that_shows_none_of_its_presets_is_lost() -> None:
    verdicts = visit(patrol(), lambda i: picture(i, seed=2), 0.0)
    assert verdicts[-1].state is ViewState.MOVED
    assert verdicts[-1].preset is None


def test_registering_leaves_the_outlines_as_they_were() -> None:
    reference, outline = outline_of(picture(0)), outline_of(picture(1, turn=(0.01, 0.0)))
    before = register(reference, outline)
    for _ in range(3):
        assert register(reference, outline) == before


def test_outlines_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        register(outline_of(picture(0)), outline_of(picture(0)[:200]))
