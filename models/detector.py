"""The detector seam: batch of pictures in, detections out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.detections import Detections

if TYPE_CHECKING:
    from models.tiles import Tile


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


@runtime_checkable
class PartDetector(Detector, Protocol):
    """A detector that can look at a part of a picture, at the scale at which it sees the whole."""

    def part_of(self, size_px: tuple[int, int], wanted: Tile) -> Tile:
        """Return the part that is shown so that ``wanted`` is in it, the whole where no less is cheaper.

        ``size_px``: (width, height) of the picture.
        """
        ...

    def detect_part(self, image: npt.NDArray[np.uint8], part: Tile) -> Detections:
        """Return the boxes found in a part that :meth:`part_of` gave, in pixels of the whole picture."""
        ...
