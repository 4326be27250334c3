"""A lens's horizontal field of view between the zooms at which it is known."""

from __future__ import annotations

import math
from collections.abc import Mapping


def hfov_at(hfov_by_zoom: Mapping[float, float], zoom: float) -> float:
    """Return the field of view in degrees at a zoom: the focal length goes as a power of the zoom.

    Args:
        hfov_by_zoom: fields of view in degrees by zoom; a higher zoom has a narrower one.
        zoom: within the table.

    Raises:
        ValueError: the zoom lies outside the table.

    """
    zooms = sorted(hfov_by_zoom)
    focal = [-math.log(math.tan(math.radians(hfov_by_zoom[one]) / 2)) for one in zooms]
    for low, high, f_low, f_high in zip(zooms, zooms[1:], focal, focal[1:], strict=False):
        if low <= zoom <= high:
            share = math.log(zoom / low) / math.log(high / low)
            return 2 * math.degrees(math.atan(math.exp(-(f_low + share * (f_high - f_low)))))
    msg = f"zoom {zoom:g} lies outside hfov_by_zoom"
    raise ValueError(msg)
