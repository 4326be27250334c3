"""Whether a wide veil has an edge, as smoke has, or fades out on all sides, as the light of a low sun does.

Both take contrast from what lies behind them; smoke's opacity falls to nothing within few cells of its
rim, while a glow is still felt a good way beyond the line where it stops to count as new.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.bool_]

WIDE_FRAC = 0.2  # of the picture: a narrower patch has too few cells around it to tell
LEAST_VEIL = 0.15  # where texture hardly lost contrast, nothing is there to fade
FADE_FRAC = 0.2  # of the veil within is left in the belt; wide plumes of the simulator keep up to 0.1
NEAR, BELT, FAR = 3, 7, 15  # cells across: the rim, the belt beyond it, and all that may be touched


def glows(veil: npt.NDArray[np.float32], textured: Cells, patch: Cells) -> bool:
    """Whether a patch of change goes on beyond its rim.

    Args:
        veil: share of its contrast that each cell has lost.
        textured: cells that have contrast to lose.
        patch: cells that are new, in one piece.

    """
    if float(patch.any(axis=0).mean()) < WIDE_FRAC:
        return False
    reached = _wider(patch, FAR)
    belt = _wider(patch, BELT) & ~_wider(patch, NEAR) & textured
    core, rest = patch & textured, textured & ~reached
    if not (core.any() and belt.any()):
        return False
    usual = float(np.median(veil[rest])) if rest.any() else 0.0
    inside, around = float(veil[core].mean()) - usual, float(veil[belt].mean()) - usual
    return inside >= LEAST_VEIL and around >= FADE_FRAC * inside


def _wider(cells: Cells, across: int) -> Cells:
    return np.asarray(cv2.dilate(cells.astype(np.uint8), np.ones((across, across), np.uint8)), np.bool_)
