"""A decoded picture with the time at which its packet arrived."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
REDUCED_PX = 320  # width of the reduced picture


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
    _reduced: list[Picture] = field(default_factory=list, init=False, repr=False)

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
    def reduced(self) -> Picture:
        """Luminance at about 320 px width, uint8 (height, width); made once, for all who want it.

        Whole blocks of pixels are averaged: the noise of a sensor averages out, edges stay.
        """
        if not self._reduced:
            self._reduced.append(reduce_luma(self.image))
        return self._reduced[0]

    @property
    def width_px(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    @property
    def height_px(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])


def reduce_luma(image: Picture) -> Picture:
    """Average whole blocks of a BGR picture down to about 320 px width; a narrower one keeps its size."""
    step = max(1, image.shape[1] // REDUCED_PX)
    height, width = image.shape[0] // step, image.shape[1] // step
    if step > 1 and height and width:
        image = np.asarray(
            cv2.resize(image[: height * step, : width * step], (width, height), interpolation=cv2.INTER_AREA),
            np.uint8,
        )
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    gray.flags.writeable = False
    return gray
