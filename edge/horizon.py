"""Where sky and ground meet in a view, strip by strip: that is where far smoke stands.

From the camera's own place where it is calibrated, else learnt from the picture: each upright strip is
cut in two where the parts are most alike within themselves, in brightness and in how rough they are (the
least squared error of two constants, as in Otsu's threshold, but along the strip). The sky is the
smoother and brighter part; a picture in which hardly any strip falls into two such parts has no horizon.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streams.frame import Picture
from towerwatch.geometry.station import Station

STRIPS = 16
EXPLAINED_FRAC = 0.35  # of a strip's variance, by its cut: less is no horizon
CLEAR_STRIPS_FRAC = 0.5  # of the strips must show one
MARGIN_FRAC = 0.1  # of the picture: no horizon is looked for at its edges, where captions stand
FLAT = 9.0  # squared levels of variance: less is fog, or a lens cap
SMOOTH = 5  # strips in the running median that takes out a mast or a cloud

Rows = npt.NDArray[np.float64]
"""float64 (STRIPS,), left to right: the horizon, as a fraction of the picture's height from its top."""


def strip_middles() -> Rows:
    """Return the middles of the strips as fractions of the picture's width."""
    return (np.arange(STRIPS) + 0.5) / STRIPS


def learnt_horizon(reduced: Picture) -> Rows | None:
    """Find the horizon in a reduced picture, uint8 (height, width); None where it shows none."""
    height = reduced.shape[0]
    rough = cv2.absdiff(reduced, cv2.blur(reduced, (5, 5)))
    bright = cv2.resize(reduced, (STRIPS, height), interpolation=cv2.INTER_AREA).astype(np.float64)
    texture = cv2.resize(rough, (STRIPS, height), interpolation=cv2.INTER_AREA).astype(np.float64)
    features = [np.asarray(bright), np.sqrt(np.asarray(texture)) * 16.0]
    left, total = (sum(part) for part in zip(*map(_errors_of_cuts, features), strict=True))
    margin = max(2, round(MARGIN_FRAC * height))
    cut = left[margin:-margin].argmin(axis=0) + margin
    strips = np.arange(STRIPS)
    explained = 1.0 - left[cut, strips] / np.maximum(total, 1e-9)
    over = np.arange(height)[:, None] < cut
    brighter, smoother = (
        np.mean(values, axis=0, where=over) - np.mean(values, axis=0, where=~over)
        for values in (bright, -texture)
    )
    clear = (total > FLAT * height) & (explained >= EXPLAINED_FRAC) & ((brighter >= 0) | (smoother > 0))
    if clear.mean() < CLEAR_STRIPS_FRAC:
        return None
    rows = np.interp(strips, strips[clear], cut[clear] / height)
    padded = np.pad(rows, SMOOTH // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTH)
    return np.asarray(np.median(windows, axis=1), np.float64)


def _errors_of_cuts(
    values: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the squared error of cutting each column of (n, strips) before each row, and of no cut."""
    count = np.arange(1, len(values))[:, None]
    sums, squares = values.cumsum(0), (values**2).cumsum(0)
    above = squares[:-1] - sums[:-1] ** 2 / count
    below = squares[-1] - squares[:-1] - (sums[-1] - sums[:-1]) ** 2 / (len(values) - count)
    errors = np.vstack([np.full((1, values.shape[1]), np.inf), above + below])
    return errors, squares[-1] - sums[-1] ** 2 / len(values)


def known_horizon(station: Station) -> Rows | None:
    """Return the horizon of a calibrated view; None where it lies outside the picture."""
    width, height = station.lens.size_px
    x_px = strip_middles() * width
    azimuths, _ = station.lens.directions(station.pose, x_px, np.full(STRIPS, height / 2))
    slopes = [station.ground.horizon_slope(float(azimuth), station.height_m) for azimuth in azimuths]
    at_x, at_y = station.lens.project(station.pose, azimuths, np.array(slopes))
    if not np.isfinite(at_y).all():
        return None
    rows = np.interp(x_px, at_x, at_y) / height
    return rows if ((rows > 0) & (rows < 1)).any() else None
