"""A frame is an aware, read-only BGR picture or no frame at all."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from streams.frame import Frame

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_a_frame_knows_its_size_and_is_read_only() -> None:
    frame = Frame(np.zeros((4, 6, 3), np.uint8), NOW, 1.0, 0)
    assert (frame.width_px, frame.height_px) == (6, 4)
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0] = 1


@pytest.mark.parametrize(
    ("image", "at", "says"),
    [
        pytest.param(np.zeros((4, 6), np.uint8), NOW, r"got uint8 \(4, 6\)", id="gray"),
        pytest.param(np.zeros((4, 6, 3)), NOW, "got float64", id="float"),
        pytest.param(np.zeros((4, 6, 3), np.uint8), datetime(2026, 6, 1), "aware", id="naive"),  # noqa: DTZ001 - under test
    ],
)
def test_anything_else_is_refused(image, at, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Frame(image, at, 0.0, 0)
