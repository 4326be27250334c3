"""A view's memory: a veil is news, a cloud's shadow, a jitter of exposure and what always stirred are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.observe import Box
from edge.reference import Novelty, ViewReference
from edge.rules.smoke import NEW_FRAC

SIZE = (800, 450)
PLACE: Box = (0.45, 0.55, 0.55, 0.65)
HORIZON = 150
Image = np.ndarray


def _land(seed: int = 3) -> Image:
    """A grey sky over textured ground."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(0, 1, (SIZE[1], SIZE[0])).astype(np.float32)
    ground = 105 + 14 * rough + 30 * cv2.GaussianBlur(rough, (0, 0), 3)
    ground[:HORIZON] = 190
    return ground


LAND = _land()


def picture(
    index: int, *, gain: float = 1.0, veil: float = 0.0, shadow: float = 0.0, at: Box = PLACE
) -> Image:
    """One picture of the view; ``veil`` and ``shadow`` are opacities at a place."""
    level = LAND.copy()
    x1, y1, x2, y2 = (round(v * s) for v, s in zip(at, SIZE * 2, strict=True))
    part = level[y1:y2, x1:x2]
    part += veil * (200 - part)
    part *= 1 - shadow
    level = level * gain + np.random.default_rng(index).normal(0, 2, level.shape)
    return np.repeat(np.clip(level, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def known(interval_s: float = 60.0, visits: int = 6) -> ViewReference:
    memory = ViewReference(interval_s)
    for index in range(visits):
        memory.see(picture(index, gain=1 + 0.05 * (-1) ** index), index * interval_s)
    return memory


def news(memory: ViewReference, image: Image, now_s: float = 360.0, at: Box = PLACE) -> Novelty:
    memory.see(image, now_s)
    found = memory.novelty(at)
    assert found is not None
    return found


def test_a_thin_veil_over_the_ground_is_new_and_local() -> None:
    found = news(known(), picture(9, veil=0.35))
    assert found.stands_out(NEW_FRAC)
    assert found.inside_frac > 0.5
    assert found.around_frac < 0.1
    assert found.foot_on_land


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(picture(9), id="nothing"),
        pytest.param(picture(9, gain=0.75), id="exposure"),
        pytest.param(picture(9, shadow=0.35), id="a cloud's shadow"),
        pytest.param(picture(9, veil=0.3, at=(0.0, 0.34, 1.0, 0.99)), id="haze all over"),
        pytest.param(picture(9, veil=0.35, at=(0.0, 0.52, 1.0, 0.68)), id="a bank of fog along its rows"),
    ],
)
def test_what_is_no_smoke_is_no_local_news(image: Image) -> None:
    memory = known()
    memory.see(image, 360.0)
    found = memory.novelty(PLACE)
    assert found is None or not found.stands_out(NEW_FRAC)


def test_what_stirs_all_the_time_is_no_news() -> None:
    memory = ViewReference(60.0)
    for index in range(12):
        memory.see(picture(index, veil=0.4 if index % 2 else 0.0), index * 60.0)
    assert not news(memory, picture(20, veil=0.4), 720.0).stands_out(NEW_FRAC)


def test_a_box_in_the_sky_has_no_foot() -> None:
    found = news(known(), picture(9), at=(0.3, 0.05, 0.4, 0.15))
    assert not found.foot_on_land
    assert news(known(), picture(9), at=(0.3, 0.2, 0.4, 0.36)).foot_on_land


def test_a_cloud_in_the_sky_part_of_a_box_is_no_news_and_smoke_on_its_land_is() -> None:
    box: Box = (0.4, 0.15, 0.5, 0.45)
    cloud = picture(9, veil=2.5, at=(0.35, 0.1, 0.55, 0.3))
    assert news(known(), cloud, at=box).inside_frac == 0
    assert news(known(), picture(9, veil=0.35, at=(0.42, 0.36, 0.48, 0.45)), at=box).stands_out(NEW_FRAC)


def test_smoke_stays_new_from_visit_to_visit_and_dust_has_moved_on() -> None:
    beside: Box = (0.6, 0.55, 0.7, 0.65)
    for later, steady in ((PLACE, True), (beside, False)):
        memory = known()
        assert (news(memory, picture(9, veil=0.35)).steady_frac or 0.0) < 0.2, "it has just begun"
        found = news(memory, picture(10, veil=0.35, at=later), 420.0, later)
        assert found.steady_frac is not None
        assert (found.steady_frac > 0.8) is steady


def test_smoke_is_not_learnt_while_it_is_covered_and_is_in_time_if_not() -> None:
    covering, learning = known(), known()
    for index in range(6, 24):
        covering.see(picture(index, veil=0.35), index * 60.0, [PLACE])
        learning.see(picture(index, veil=0.35), index * 60.0)
    assert news(covering, picture(50, veil=0.35), 1440.0).stands_out(NEW_FRAC)
    assert not news(learning, picture(50, veil=0.35), 1440.0).stands_out(NEW_FRAC)


def test_it_says_nothing_before_it_knows_the_view_or_of_quite_another_light() -> None:
    memory = ViewReference(2.0)
    for now_s in (0.0, 2.0, 18.0):
        memory.see(picture(0), now_s)
        assert memory.novelty(PLACE) is None
    memory.see(picture(1), 20.0)
    memory.see(picture(2), 22.0)
    assert memory.novelty(PLACE) is not None
    night = np.full_like(picture(0), 20)
    memory.see(night, 24.0)
    assert memory.novelty(PLACE) is None
    for index in range(8):
        memory.see(
            night + np.random.default_rng(index).integers(0, 3, night.shape, np.uint8), 40.0 + 20 * index
        )
    assert memory.novelty(PLACE) is not None


def test_a_camera_that_changes_its_size_is_learnt_anew() -> None:
    memory = known()
    memory.see(picture(9)[:300, :400], 360.0)
    assert memory.novelty(PLACE) is None


def test_a_box_that_is_off_points_at_the_patch_that_is_new() -> None:
    memory = known()
    beside: Box = (0.48, 0.5, 0.66, 0.66)  # half as large again, and shifted
    found = news(memory, picture(9, veil=0.35), at=beside)
    assert found.stands_out(NEW_FRAC)
    assert found.place is not None
    assert np.allclose(found.place, PLACE, atol=0.03)
    within = memory.novelty((0.49, 0.58, 0.5, 0.59))
    assert within is not None
    assert within.place is not None
    assert within.place[2] - within.place[0] < 0.03, "a speck in a large patch stands for itself"
    assert not within.stands_out(NEW_FRAC)
