"""Whether a picture still lies as one that was judged in full, so that the judgement holds for it.

Black, blurred, moved and hidden views change most of a picture; traffic changes some of it. Judging
sharpness and outlines anew costs two thirds of decoding a key frame, comparing with the picture that
was judged a hundredth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streams.frame import Picture

AGAIN_S = 10.0  # judged in full at least so often: a mast sways, fog comes, by steps that no comparison shows
LEVELS = 5  # grain and compression, averaged over the blocks of a reduced picture, stay below
CHANGED_FRAC = 0.2  # of the pixels: dense traffic; a camera turned by two of them changes more than half


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
        changed = np.count_nonzero(cv2.absdiff(judged, reduced) > LEVELS)
        return bool(changed <= CHANGED_FRAC * reduced.size)

    def judged(self, reduced: Picture, now_s: float) -> None:
        """Remember a picture that was judged in full and found good."""
        self._judged, self._judged_s = reduced, now_s
