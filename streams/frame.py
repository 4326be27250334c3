"""A decoded picture with the time at which its packet arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture.

    Attributes:
        image: uint8, shape (height, width, 3), BGR, read-only.
        captured_at: aware UTC; live, when the packet arrived; in a replay, the source's own time.
        monotonic_s: seconds on a clock that never jumps, of the same instant; for durations.
        index: running number of this picture in its source, from 0.
        is_key: whether it was coded as a key frame.

    """

    image: Picture
    captured_at: datetime
    monotonic_s: float
    index: int
    is_key: bool = True

    def __post_init__(self) -> None:
        """Validate shape, dtype and time zone once, and make the picture read-only."""
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            msg = f"expected uint8 (height, width, 3), got {self.image.dtype} {self.image.shape}"
            raise ValueError(msg)
        if self.captured_at.tzinfo is None:
            msg = "captured_at must be aware"
            raise ValueError(msg)
        self.image.flags.writeable = False

    @property
    def width_px(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    @property
    def height_px(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])
