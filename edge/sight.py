"""Whether a picture shows anything: black and blurred told from night and fog, by one picture.

Pure functions over pixels. Persistence is judged elsewhere (:mod:`edge.blind`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from alerts.messages import BlindReason
from streams.frame import Picture

_TILES = (6, 8)
ROUNDING = 0.5  # grey levels that whole levels add to the strongest of small steps


@dataclass(frozen=True, slots=True)
class SightTerms:
    """Thresholds, in grey levels of 0 to 255 unless said otherwise.

    Attributes:
        black_std: a picture whose grey levels deviate less than this shows one even surface: lens
            cap, dead sensor, spray. A night scene keeps its noise and its lamps.
        black_range: and whose levels, the outermost 0.1 % on each side left out, span less.
        blurred_frac: share of the picture's own range of grey levels that neighbours (in a picture
            320 px wide) step at the sharpest places of its sharper tiles. Measured on 360 real
            pictures of masts, hills and roads, night and haze among them: 0.10 at least; blurred
            with a Gaussian of 16 px at 640 px width: 0.03 at most, 0.015 in the median. By tiles,
            because a time stamp burnt into a corner stays sharp in front of any lens.

    """

    black_std: float = 2.0
    black_range: float = 12.0
    blurred_frac: float = 0.035


def judge_picture(reduced: Picture, terms: SightTerms | None = None) -> tuple[BlindReason | None, str]:
    """Say whether one picture shows anything.

    Args:
        reduced: luminance, uint8 (height, width), about 320 px wide; see :attr:`streams.frame.Frame.reduced`.
        terms: thresholds.

    Returns:
        a reason and a sentence with what was measured; (None, "") for a picture that shows something.

    """
    terms = terms or SightTerms()
    levels = np.bincount(reduced.ravel(), minlength=256)
    std = float(reduced.std())
    low, high = _percentile(levels, 0.001), _percentile(levels, 0.999)
    if std < terms.black_std and high - low < terms.black_range:
        return BlindReason.BLACK, f"one even surface: deviation {std:.1f}, range {high - low} grey levels"
    sharp_frac = _sharpness(reduced) / max(high - low, 1)
    if sharp_frac < terms.blurred_frac:
        return BlindReason.BLURRED, f"no sharp edge: steps of {sharp_frac:.3f} of the contrast"
    return None, ""


def _percentile(levels: npt.NDArray[np.intp], share: float) -> int:
    """Return the grey level below which a share of the pixels lies, from their histogram."""
    return int(np.searchsorted(levels.cumsum(), share * levels.sum()))


def _sharpness(gray: Picture) -> float:
    across, down = cv2.absdiff(gray[:, 1:], gray[:, :-1]), cv2.absdiff(gray[1:], gray[:-1])
    tiles = zip(_tiles(np.asarray(across, np.uint8)), _tiles(np.asarray(down, np.uint8)), strict=True)
    return float(np.percentile([_strongest(np.concatenate((a.ravel(), b.ravel()))) for a, b in tiles], 80))


def _tiles(steps: Picture) -> list[Picture]:
    rows, columns = _TILES
    return [tile for band in np.array_split(steps, rows, 0) for tile in np.array_split(band, columns, 1)]


def _strongest(steps: npt.NDArray[np.uint8]) -> float:
    """Return the mean of the strongest 1 % of grey-level steps between neighbours."""
    if steps.size == 0:
        return 0.0
    count = max(1, steps.size // 100)
    return max(float(np.partition(steps, -count)[-count:].mean()) - ROUNDING, 0.0)
