"""The rule seam: what a rule sees, what it says, and how its state is written down.

A rule is a callable from an :class:`Observation` to :class:`Finding` values. It keeps state of its
own, which it can write down and read back; it reads time from the observation, never from a clock,
and knows nothing of threads, video or MQTT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from models.detections import Detections

if TYPE_CHECKING:  # the supervisor reads findings, and must not import what converts pictures
    from streams.frame import Frame, Picture

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, each in [0, 1] of the frame's width and height."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """An object followed over the frames of one view.

    ``box`` in [0, 1] of the frame. ``speed_bl_s``: speed in body lengths (square root of the box
    area) a second over the last seconds; nan while too young. ``still_since``: time since which it
    has not left its place, None while it moves.
    """

    track_id: int
    label: str
    box: Box
    confidence: float
    first_seen_at: datetime
    last_seen_at: datetime
    speed_bl_s: float
    velocity_frac_s: tuple[float, float]
    still_since: datetime | None


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What is seen in one view at one instant.

    Attributes:
        captured_at: aware UTC, from the frame.
        monotonic_s: the same instant on the clock that never jumps; all durations come from it.
        camera: camera id.
        preset: PTZ preset name; ``fixed`` for a camera that does not turn.
        size_px: (width, height) of the analysed picture.
        frame: the picture itself; for appearance and background, not for boxes.
        detections: boxes in pixels of the picture, every class of the model.
        tracks: tracked objects of this view, in [0, 1] of the frame.
        gap_s: seconds since the last observation of this view; inf on the first.
        carried: bool, shape (n,), of each detection: True where the model was not asked now, because
            nothing had changed there since it saw this box; None: it was asked about all.

    """

    captured_at: datetime
    monotonic_s: float
    camera: str
    preset: str
    size_px: tuple[int, int]
    frame: Frame
    detections: Detections
    tracks: tuple[Track, ...] = ()
    gap_s: float = float("inf")
    carried: npt.NDArray[np.bool_] | None = None

    @property
    def image(self) -> Picture:
        """The picture, uint8 (height, width, 3) BGR, read-only; costs a conversion where nobody has asked."""
        return self.frame.image


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule states about now.

    Attributes:
        kind: ``smoke``, ``illegal_parking``, ``blocked_road``, ...
        place_key: stable name of the place within the rule; one episode per key at a time.
        confirmed: False while it is a candidate that only wants evidence kept, True once it is an alert.
        since: when it began, aware UTC; may move back as the rule learns more.
        confidence: in [0, 1].
        boxes: what to show, in [0, 1] of the frame, most important first.
        zone: id of the zone, None where the rule needs none.
        measures: numbers the rule measured, unit in the name (``dwell_s``, ``occupancy_frac``).
        label: what the boxes show, in one word; None stands for the kind.
        until: up to when it is known to have held; None stands for now.
        reason: a word for camera_blind and the like, None otherwise.

    A finding that is absent at the next observation is not yet over: the lifecycle decides, by the
    rule's ``hold_s``. A rule that knows the episode has ended reports ``over=True`` once.

    """

    kind: str
    place_key: str
    confirmed: bool
    since: datetime
    confidence: float
    boxes: tuple[Box, ...]
    zone: str | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    over: bool = False
    label: str | None = None
    reason: str | None = None
    until: datetime | None = None


class Rule(Protocol):
    """One rule bound to one view (camera and preset)."""

    @property
    def name(self) -> str:
        """Rule and version, such as ``illegal_parking/1``; goes into every alert."""
        ...

    @property
    def hold_s(self) -> float:
        """Seconds of observed time without a finding after which its episode is closed."""
        ...

    def __call__(self, seen: Observation) -> list[Finding]:
        """Take one observation and state what holds now."""
        ...

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state; ignore what a newer configuration no longer has."""
        ...
