"""The detector seam: batch of pictures in, detections out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.detections import Detections


class Detector(Protocol):
    """Whatever finds boxes. A fake of ten lines satisfies it in tests."""

    @property
    def name(self) -> str:
        """Name and version, such as ``vehicle@1.0.0``; goes into every alert."""
        ...

    @property
    def precision(self) -> str:
        """``f32``, ``bf16``, ``f16`` or ``int8``; goes into every alert."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names."""
        ...

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """Return one :class:`Detections` a picture, in order.

        ``images``: uint8 (height, width, 3) BGR each, sizes may differ. Boxes come back in pixels
        of the picture given, clipped to it, above the manifest's threshold, after NMS.
        """
        ...

    def close(self) -> None:
        """Release the runtime; further calls are an error."""
        ...
