"""Fit a picture of any size into a model's input, and bring boxes back exactly.

Coordinates are continuous: pixel ``i`` covers ``[i, i + 1]``. The picture is scaled to a whole
number of pixels, and the inverse uses that rounded size (not the ideal ratio), so a box that goes
to the model and back is the same box but for float rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
import numpy.typing as npt

from models.detections import FloatArray

Placement = Literal["centre", "top_left", "stretch"]
"""Where the scaled picture lies in the input; ``stretch`` fills it and gives up the aspect ratio."""


STRIDE_PX = 32  # of the coarsest level of all detectors here: sides are multiples of it


def snug_px(sources_px: Sequence[tuple[int, int]], input_px: tuple[int, int]) -> tuple[int, int]:
    """Return the least size, (width, height), that holds pictures as large as ``input_px`` would.

    A picture of 16:9 fills 640 x 360 of 640 x 640, and as much of 640 x 384.
    """
    scaled = [Letterbox.fit(source, input_px, "centre").scaled_px for source in sources_px]
    width, height = (
        min(-(-max(sides) // STRIDE_PX) * STRIDE_PX, most)
        for sides, most in zip(zip(*scaled, strict=True), input_px, strict=True)
    )
    return width, height


def part_px(start_px: int, side_px: int, full_px: int, scaled_px: int, step_px: int) -> tuple[int, int]:
    """Return start and length of the part of one side of a picture that holds a stretch of it.

    Args:
        start_px: where the stretch begins, in pixels of the picture.
        side_px: how long it is.
        full_px: the picture's whole side.
        scaled_px: how long that is in the model's input.
        step_px: the part is a multiple of this, in pixels of the input.

    """
    steps = -(-side_px * scaled_px // (full_px * step_px)) * step_px
    if steps >= scaled_px:
        return 0, full_px
    length = min(max(round(steps * full_px / scaled_px), side_px), full_px)
    return min(max(start_px - (length - side_px) // 2, 0), full_px - length), length


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How one picture lies in the model's input. All sizes are (width, height) in pixels."""

    source_px: tuple[int, int]
    input_px: tuple[int, int]
    scaled_px: tuple[int, int]
    left_px: int
    top_px: int

    @classmethod
    def fit(cls, source_px: tuple[int, int], input_px: tuple[int, int], placement: Placement) -> Letterbox:
        """Compute scaled size and offsets; rounding as in Ultralytics (centre) and YOLOX (top_left).

        Raises:
            ValueError: a side of either size is below one pixel.

        """
        if min(*source_px, *input_px) < 1:
            msg = f"sizes must be at least 1 px, got picture {source_px} and input {input_px}"
            raise ValueError(msg)
        if placement == "stretch":
            return cls(source_px, input_px, input_px, 0, 0)
        ratio = min(input_px[0] / source_px[0], input_px[1] / source_px[1])
        # YOLOX truncates, Ultralytics rounds: one pixel, but the model was trained on it
        to_px = int if placement == "top_left" else round
        width, height = (max(1, to_px(side * ratio)) for side in source_px)
        if placement == "top_left":
            return cls(source_px, input_px, (width, height), 0, 0)
        if placement == "centre":
            # - 0.1 puts the odd pixel of padding to the right and bottom, as Ultralytics does
            left, top = (
                round((full - part) / 2 - 0.1) for full, part in zip(input_px, (width, height), strict=True)
            )
            return cls(source_px, input_px, (width, height), left, top)
        assert_never(placement)

    @classmethod
    def of_part(cls, part_px: tuple[int, int], whole: Letterbox) -> Letterbox:
        """Lay a part of a picture, of this size, into the least input that holds it, at the whole's scale."""
        scales = (scaled / full for scaled, full in zip(whole.scaled_px, whole.source_px, strict=True))
        width, height = (max(1, round(side * scale)) for side, scale in zip(part_px, scales, strict=True))
        sides = (-(-width // STRIDE_PX) * STRIDE_PX, -(-height // STRIDE_PX) * STRIDE_PX)
        return cls(part_px, sides, (width, height), 0, 0)

    def apply(self, image: npt.NDArray[np.uint8], pad_value: int) -> npt.NDArray[np.uint8]:
        """Scale ``image`` (uint8, h x w x 3) bilinearly and pad it to the input size."""
        scaled = image
        if (image.shape[1], image.shape[0]) != self.scaled_px:
            import cv2  # noqa: PLC0415 - whoever only reads manifests (the edge's supervisor) loads no cv2

            scaled = np.asarray(cv2.resize(image, self.scaled_px, interpolation=cv2.INTER_LINEAR), np.uint8)
        if self.scaled_px == self.input_px:
            return scaled
        out = np.full((self.input_px[1], self.input_px[0], 3), pad_value, np.uint8)
        out[
            self.top_px : self.top_px + self.scaled_px[1], self.left_px : self.left_px + self.scaled_px[0]
        ] = scaled
        return out

    def to_input(self, xyxy: FloatArray) -> FloatArray:
        """Move boxes (n, 4) from picture pixels to input pixels."""
        return (xyxy * self._scale() + self._offset()).astype(np.float32)

    def to_source(self, xyxy: FloatArray) -> FloatArray:
        """Move boxes (n, 4) from input pixels back to picture pixels, clipped to the picture."""
        moved = (xyxy - self._offset()) / self._scale()
        limits = np.array([*self.source_px, *self.source_px], np.float64)
        return np.clip(moved, 0, limits).astype(np.float32)

    def _scale(self) -> npt.NDArray[np.float64]:
        x, y = (part / full for part, full in zip(self.scaled_px, self.source_px, strict=True))
        return np.array([x, y, x, y])

    def _offset(self) -> npt.NDArray[np.float64]:
        return np.array([self.left_px, self.top_px] * 2, np.float64)
