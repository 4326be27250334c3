"""What the lifecycle says: one episode of one finding, from candidate to closed.

``candidate -> dissolved``, or ``candidate -> opened -> updated* -> closed``. Candidate and dissolved
stay on the box (they keep and drop provisional evidence); opened, updated and closed become messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from edge.observe import Box
from towerwatch.geometry.ellipse import Ellipse


class EpisodePhase(StrEnum):
    """Where an episode is."""

    CANDIDATE = "candidate"
    DISSOLVED = "dissolved"
    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """One box to show, in [0, 1] of the frame."""

    label: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class EpisodeEvent:
    """One step in the life of one episode.

    Attributes:
        alert_id: 32 hexadecimal digits, minted when the candidate first appears, kept to the end.
        phase: see the module.
        phase_seq: 0 for opened, then 1, 2, ...; -1 for candidate and dissolved, which are not sent.
        started_at: when it began; aware UTC; may move back between phases.
        captured_at: capture time of the frame that caused this event.
        ended_at: set for closed alone.
        boxes: most important first.
        measures: numbers the rule measured, unit in the name.
        rule, model, precision: what decided, with versions; model and precision None without one.
        reason: a word for camera_blind and the like, None otherwise.
        place: where on the ground, None where the view is not calibrated.

    """

    alert_id: str
    phase: EpisodePhase
    phase_seq: int
    kind: str
    camera: str
    preset: str
    zone: str | None
    place_key: str
    started_at: datetime
    captured_at: datetime
    confidence: float
    boxes: tuple[LabelledBox, ...]
    rule: str
    model: str | None = None
    precision: str | None = None
    ended_at: datetime | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    place: Ellipse | None = None
