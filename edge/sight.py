"""Whether a picture shows anything: black and blurred told from night and fog, by one picture.

Pure functions over pixels. Persistence is judged elsewhere (:mod:`edge.blind`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerts.messages import BlindReason
from streams.frame import Picture

_WIDTH_PX = 320
_TILES = (6, 8)
Gray = npt.NDArray[np.float32]


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


def judge_picture(image: Picture, terms: SightTerms | None = None) -> tuple[BlindReason | None, str]:
    """Say whether one picture shows anything.

    Args:
        image: uint8 (height, width, 3) BGR.
        terms: thresholds.

    Returns:
        a reason and a sentence with what was measured; (None, "") for a picture that shows something.

    """
    terms = terms or SightTerms()
    gray = _small_gray(image)
    std = float(gray.std())
    low, high = np.percentile(gray, (0.1, 99.9))
    if std < terms.black_std and high - low < terms.black_range:
        return BlindReason.BLACK, f"one even surface: deviation {std:.1f}, range {high - low:.0f} grey levels"
    sharp_frac = _sharpness(gray) / max(float(high - low), 1.0)
    if sharp_frac < terms.blurred_frac:
        return BlindReason.BLURRED, f"no sharp edge: steps of {sharp_frac:.3f} of the contrast"
    return None, ""


def _small_gray(image: Picture) -> Gray:
    """Average blocks of pixels down to about 320 px width; noise averages out, edges stay."""
    step = max(1, image.shape[1] // _WIDTH_PX)
    height, width = image.shape[0] // step * step, image.shape[1] // step * step
    if height == 0 or width == 0:
        step, (height, width) = 1, image.shape[:2]
    # green stands for luminance: it carries most of it, and one channel costs a third
    blocks = image[:height, :width, 1].reshape(height // step, step, width // step, step)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32), np.float32)


def _sharpness(gray: Gray) -> float:
    rows, columns = _TILES
    tiles = [tile for band in np.array_split(gray, rows, 0) for tile in np.array_split(band, columns, 1)]
    return float(np.percentile([_strongest_steps(tile) for tile in tiles], 80))


def _strongest_steps(gray: Gray) -> float:
    """Return the mean of the strongest 1 % of grey-level steps between neighbours."""
    steps = np.concatenate([np.abs(np.diff(gray, axis=1)).ravel(), np.abs(np.diff(gray, axis=0)).ravel()])
    if steps.size == 0:
        return 0.0
    count = max(1, steps.size // 100)
    return float(np.partition(steps, -count)[-count:].mean())
