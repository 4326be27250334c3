"""Whether a picture still lies as one that was judged in full, so that the judgement holds for it.

Black, blurred, moved and hidden views change a picture everywhere, traffic some places of it, as
much as it may change there. Judging sharpness and outlines anew costs two thirds of decoding a key
frame, comparing with the picture that was judged a hundredth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streams.frame import Picture

AGAIN_S = 10.0  # judged in full at least so often: a mast sways, fog comes, by steps that no comparison shows
LEVELS = 5  # grain and compression, averaged over the blocks of a reduced picture, stay below
TILE_PX = 16  # side of the places, in reduced pixels
CHANGED_FRAC = 0.2  # of a place's pixels, from which it has changed
# of all places: between two pictures of a road that is full of traffic 0.55 at most; where a camera turned
# by one reduced pixel, 6 of 1080p, 0.7 at least, by two or out of focus 0.92
CHANGED_PLACES = 0.62


@dataclass(slots=True)
class Stillness:
    """The picture that was judged last."""

    _judged: Picture | None = None
    _judged_s: float = float("-inf")

    def holds(self, reduced: Picture, now_s: float) -> bool:
        """Tell whether the last judgement holds for a picture (luminance, see ``Frame.reduced``)."""
        judged = self._judged
        if judged is None or judged.shape != reduced.shape or not 0 <= now_s - self._judged_s < AGAIN_S:
            return False
        changed = np.where(cv2.absdiff(judged, reduced) > LEVELS, np.uint8(255), np.uint8(0))
        size = tuple(max(side // TILE_PX, 1) for side in reduced.shape[::-1])
        places = np.asarray(cv2.resize(changed, size, interpolation=cv2.INTER_AREA))
        return bool((places > 255 * CHANGED_FRAC).mean() <= CHANGED_PLACES)

    def judged(self, reduced: Picture, now_s: float) -> None:
        """Remember a picture that was judged in full and found good."""
        self._judged, self._judged_s = reduced, now_s
