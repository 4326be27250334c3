"""How a picture lies against another of the same view: shift and agreement, whatever the light.

Both are judged on outlines: grey levels with slow light taken out and contrast evened, so that cloud
shadow, exposure and dusk change little. The shift comes from phase correlation (Kuglin and Hines 1975;
OpenCV's ``phaseCorrelate``), the agreement is the correlation of the outlines once shifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streams.frame import Picture

WIDTH_PX = 320
_SLOW_PX = 6.0  # light that varies over more than this is no outline
_FAINT = 0.05  # steps of log-luminance below this are noise, not contrast
Outline = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Registration:
    """How a picture lies against its reference.

    Attributes:
        dx_frac, dy_frac: how far what is seen has moved right and down, in fractions of width and height.
        agreement: correlation of the outlines where the shifted pictures overlap, in [-1, 1].

    """

    dx_frac: float
    dy_frac: float
    agreement: float

    @property
    def shift_frac(self) -> float:
        """Length of the shift; of both directions the larger, in fractions of the frame."""
        return max(abs(self.dx_frac), abs(self.dy_frac))


def outline_of(image: Picture) -> Outline:
    """Return the outlines of a picture, float32, 320 px wide, about 0 in the mean and 1 in deviation.

    ``image``: uint8 (height, width, 3) BGR, or (height, width) grey.
    """
    return outline_and_richness(image)[0]


def outline_and_richness(image: Picture) -> tuple[Outline, float]:
    """Return the outlines, and the share of the picture that holds contrast worth one; fog has little."""
    fine, contrast = _fine(image)
    outline = np.asarray(np.clip(fine / (contrast + _FAINT), -3, 3), np.float32)
    return outline, float(np.mean(contrast > _FAINT))


def _fine(image: Picture) -> tuple[Outline, Outline]:
    """Return fine structure of log-luminance, and its local deviation."""
    height = max(16, round(image.shape[0] * WIDTH_PX / image.shape[1]))
    small = cv2.resize(image, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    gray = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    level = np.log1p(cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1.2))
    fine = level - cv2.GaussianBlur(level, (0, 0), _SLOW_PX)
    contrast = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 2 * _SLOW_PX))
    return np.asarray(fine, np.float32), np.asarray(contrast, np.float32)


def register(reference: Outline, outline: Outline) -> Registration:
    """Say how ``outline`` lies against ``reference``; both from :func:`outline_of`, of one size.

    Raises:
        ValueError: they differ in size.

    """
    if reference.shape != outline.shape:
        msg = f"outlines must be of one size, got {reference.shape} and {outline.shape}"
        raise ValueError(msg)
    height, width = reference.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    # given a window of its own, phaseCorrelate multiplies it into its arguments: both would fade
    (dx, dy), _ = cv2.phaseCorrelate(reference * window, outline * window)
    dx, dy = (float(np.clip(d, -side / 2, side / 2)) for d, side in ((dx, width), (dy, height)))
    moved = register_at(reference, outline, dx, dy)
    still = register_at(reference, outline, 0.0, 0.0)
    return still if still.agreement >= moved.agreement else moved


def register_at(reference: Outline, outline: Outline, dx_px: float, dy_px: float) -> Registration:
    """Measure the agreement at a given shift in pixels of the outlines."""
    height, width = reference.shape
    matrix = np.array([[1.0, 0.0, -dx_px], [0.0, 1.0, -dy_px]])
    back = cv2.warpAffine(outline, matrix, (width, height), flags=cv2.INTER_LINEAR)
    x, y = min(abs(dx_px), width / 2), min(abs(dy_px), height / 2)
    left, right = (0, width - int(np.ceil(x))) if dx_px > 0 else (int(np.ceil(x)), width)
    top, bottom = (0, height - int(np.ceil(y))) if dy_px > 0 else (int(np.ceil(y)), height)
    return Registration(
        dx_px / width,
        dy_px / height,
        _correlation(reference[top:bottom, left:right], back[top:bottom, left:right]),
    )


def _correlation(a: Outline, b: Outline) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0
