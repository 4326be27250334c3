"""A wide veil that fades out is light, one with an edge may be smoke."""

from __future__ import annotations

import numpy as np
import pytest

from edge.glow import glows

SIZE = (45, 80)
ROWS, COLUMNS = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
ALL = np.ones(SIZE, np.bool_)
NEW = 0.22


def veil_of(across: float, down: float, strength: float, power: float) -> np.ndarray:
    """Return an opacity that falls from the middle, the more abruptly the larger ``power`` is."""
    far = ((COLUMNS - 40) / across) ** 2 + ((ROWS - 20) / down) ** 2
    noise = np.random.default_rng(3).normal(0, 0.03, SIZE)
    return np.asarray(strength * np.exp(-(far**power)) + noise, np.float32)


@pytest.mark.parametrize(
    ("veil", "light"),
    [
        pytest.param(veil_of(20, 9, 0.5, 1), True, id="the light of a low sun"),
        pytest.param(veil_of(12, 9, 0.5, 8), False, id="a wide plume"),
        pytest.param(veil_of(3, 3, 0.5, 1), False, id="a narrow plume, however soft"),
        pytest.param(veil_of(20, 9, 0.5, 1) + 0.3, False, id="haze all over and a plume in it: no light"),
    ],
)
def test_a_wide_veil_that_fades_out_is_light(veil: np.ndarray, *, light: bool) -> None:
    assert glows(veil, ALL, veil >= NEW) is light


def test_where_nothing_has_texture_nobody_can_tell() -> None:
    veil = veil_of(20, 9, 0.5, 1)
    assert not glows(veil, ~ALL, veil >= NEW)
