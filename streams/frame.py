"""A decoded picture with the time at which its packet arrived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
T = TypeVar("T")
REDUCED_PX = 320  # width of the reduced picture
THIN_PX = 160  # width of the thinned picture: some 14,000 pixels, enough to meet the digits of a clock


class Pixels(Protocol):
    """A decoded picture in its decoder's own format, of which only what is wanted is converted."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        ...

    def bgr(self) -> Picture:
        """Convert the whole picture: uint8 (height, width, 3)."""
        ...

    def reduced(self, step: int) -> Picture:
        """Average blocks of ``step`` pixels of luminance: uint8 (height // step, width // step)."""
        ...

    def thinned(self, step: int) -> Picture:
        """Convert every ``step``-th pixel, from the middle of the first step on: uint8 BGR."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture.

    Attributes:
        pixels: uint8 (height, width, 3) BGR, or what can still be converted to it; see :attr:`image`.
        captured_at: aware UTC; live, when the packet arrived; in a replay, the source's own time.
        monotonic_s: seconds on a clock that never jumps, of the same instant; for durations.
        index: running number of this picture in its source, from 0.
        is_key: whether it was coded as a key frame.

    """

    pixels: Picture | Pixels
    captured_at: datetime
    monotonic_s: float
    index: int
    is_key: bool = True
    _made: dict[str, object] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Validate shape, dtype and time zone once, and make the picture read-only."""
        if isinstance(self.pixels, np.ndarray):
            if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
                msg = f"expected uint8 (height, width, 3), got {self.pixels.dtype} {self.pixels.shape}"
                raise ValueError(msg)
            self.pixels.flags.writeable = False
        if self.captured_at.tzinfo is None:
            msg = "captured_at must be aware"
            raise ValueError(msg)

    @property
    def image(self) -> Picture:
        """The picture, uint8 (height, width, 3) BGR, read-only; converted when it is first asked for."""
        if isinstance(self.pixels, np.ndarray):
            return self.pixels
        return self.once("image", self.pixels.bgr)

    @property
    def reduced(self) -> Picture:
        """Luminance at about 320 px width, uint8 (height, width); made once, for all who want it.

        Whole blocks of pixels are averaged: the noise of a sensor averages out, edges stay.
        """
        pixels, step = self.pixels, max(1, self.width_px // REDUCED_PX)
        if isinstance(pixels, np.ndarray):
            return self.once("reduced", lambda: reduce_luma(pixels))
        return self.once("reduced", lambda: pixels.reduced(step))

    @property
    def thinned(self) -> Picture:
        """Single pixels on a grid about 160 px wide, uint8 (height, width, 3) BGR; they keep their noise."""
        pixels, step = self.pixels, max(1, self.width_px // THIN_PX)
        if isinstance(pixels, np.ndarray):
            return pixels[step // 2 :: step, step // 2 :: step]
        return self.once("thinned", lambda: pixels.thinned(step))

    @property
    def light(self) -> tuple[float, float]:
        """Mean brightness and mean colourfulness (strongest less weakest colour) of the thinned picture."""
        return self.once("light", self._measure_light)

    def _measure_light(self) -> tuple[float, float]:
        blue, green, red = (self.thinned[..., channel] for channel in range(3))
        colour = np.maximum(np.maximum(blue, green), red) - np.minimum(np.minimum(blue, green), red)
        return (float(self.thinned.mean()), float(colour.mean()))

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what was worked out of this frame under a name, and work it out where nobody has yet."""
        if name not in self._made:
            made = make()
            if isinstance(made, np.ndarray):
                made.flags.writeable = False
            self._made[name] = made
        return cast("T", self._made[name])

    @property
    def width_px(self) -> int:
        """Width in pixels."""
        return self.pixels.shape[1] if isinstance(self.pixels, np.ndarray) else self.pixels.size_px[0]

    @property
    def height_px(self) -> int:
        """Height in pixels."""
        return self.pixels.shape[0] if isinstance(self.pixels, np.ndarray) else self.pixels.size_px[1]


def reduce_luma(image: Picture) -> Picture:
    """Average whole blocks of a BGR picture down to about 320 px width; a narrower one keeps its size."""
    step = max(1, image.shape[1] // REDUCED_PX)
    height, width = image.shape[0] // step, image.shape[1] // step
    if step > 1 and height and width:
        image = np.asarray(
            cv2.resize(image[: height * step, : width * step], (width, height), interpolation=cv2.INTER_AREA),
            np.uint8,
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
