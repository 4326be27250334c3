"""How a place looks: a small normalised patch, and how alike two looks are.

A parked car keeps its look while detectors blink and wheels of others pass; a place that one car
left and another took does not. Light that grows or fades as a whole does not matter: patches are
compared by normalised cross-correlation over all three colours, which keeps a red car from
matching a grey one of the same shape. Measured on a street with six parked cars (2 s apart, 70 s):
the same car 0.75 to 1.0 outside occlusions; two different cars found at one place at most 0.62.
"""

from __future__ import annotations

import base64

import cv2
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from edge.observe import Box

PATCH = 24  # side in samples; enough to tell cars apart, small enough to write down
SHAKE = 2  # samples of shift that are tried to each side, about 8 % of the box: shake, box jitter
MARGIN_FRAC = 0.1  # ground around the box says whether it is brighter or darker than the road
Look = npt.NDArray[np.float32]
"""float32, shape (PATCH * PATCH * 3,), zero mean, unit length; all zero where nothing is to be seen."""


def _window(image: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.float32]:
    """Return what lies around a box (fractions of the frame), resampled, with room for shake."""
    height, width = image.shape[:2]
    side = PATCH + 2 * SHAKE
    grow = (1 + 2 * MARGIN_FRAC) * side / PATCH
    box_w = max((box[2] - box[0]) * width * grow, 1.0)
    box_h = max((box[3] - box[1]) * height * grow, 1.0)
    left = (box[0] + box[2]) / 2 * width - box_w / 2
    top = (box[1] + box[3]) / 2 * height - box_h / 2
    x1, y1 = max(int(left), 0), max(int(top), 0)
    x2, y2 = min(int(left + box_w) + 2, width), min(int(top + box_h) + 2, height)
    if x2 - x1 < 2 or y2 - y1 < 2:
        return np.zeros((side, side, 3), np.float32)
    part = image[y1:y2, x1:x2]
    step_x, step_y = box_w / side, box_h / side
    if max(step_x, step_y) > 1.5:  # shrinking: smooth first, or fine texture aliases from frame to frame
        part = cv2.blur(part, (max(round(step_x), 1), max(round(step_y), 1)))
    transform = np.array([[step_x, 0, left - x1], [0, step_y, top - y1]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(part, transform, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float32)


def _normalised(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    rows = rows - rows.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.where(length > 1.0, rows / np.maximum(length, 1e-6), 0.0).astype(np.float32)


def take(image: npt.NDArray[np.uint8], box: Box) -> Look:
    """Return the look of a place.

    ``image``: uint8 (height, width, 3) BGR; ``box`` in fractions of the frame.
    """
    window = _window(image, box)[SHAKE : SHAKE + PATCH, SHAKE : SHAKE + PATCH]
    return _settled(_normalised(window.reshape(1, -1))[0])


def alike(look: Look, image: npt.NDArray[np.uint8], box: Box) -> float:
    """Return how much the place in ``image`` looks like ``look``, in [-1, 1], best of small shifts."""
    shifts = sliding_window_view(_window(image, box), (PATCH, PATCH, 3))
    rows = _normalised(shifts.reshape(-1, PATCH * PATCH * 3))
    return float((rows @ look).max())


def blend(old: Look, new: Look, share: float) -> Look:
    """Return ``old`` moved towards ``new`` by ``share`` in [0, 1]: slow light, long shadows."""
    return _settled((1 - share) * old + share * new)


def _bytes_of(look: Look) -> npt.NDArray[np.int8]:
    peak = float(np.abs(look).max())
    return np.round(look * (127 / peak) if peak > 0 else look).astype(np.int8)


def _settled(look: Look) -> Look:
    """Round to 8 bits, so that a look that was written down and read back is the very same."""
    values = _bytes_of(look).astype(np.float32)
    length = float(np.linalg.norm(values))
    return (values / length).astype(np.float32) if length > 0 else values


def encode(look: Look) -> str:
    """Write a look down as about 2.3 kB of text, without loss."""
    return base64.b64encode(_bytes_of(look).tobytes()).decode()


def decode(text: str) -> Look:
    """Read back what :func:`encode` wrote."""
    return _settled(np.frombuffer(base64.b64decode(text), np.int8).astype(np.float32))
