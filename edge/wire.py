"""From an episode's step to the message that leaves the box."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from alerts.messages import AlertMessage, ClockState, Evidence, NamedBox, Position
from edge.episode import EpisodeEvent, EpisodePhase, LabelledBox
from towerwatch.geometry.ellipse import Ellipse

MAX_BOXES = 32
MAX_MEASURES = 32
SENT_PHASES = frozenset({EpisodePhase.OPENED, EpisodePhase.UPDATED, EpisodePhase.CLOSED})


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: box, its outbox database, and this run of the box."""

    site: str
    edge: str
    outbox_id: str
    boot_id: str


def to_message(
    event: EpisodeEvent,
    sender: Sender,
    *,
    outbox_seq: int,
    clock: ClockState,
    evidence: Iterable[Evidence] = (),
    historical: bool = False,
) -> AlertMessage:
    """Make the message of an opened, updated or closed episode.

    Boxes are clipped to the frame and those without area dropped; at most 32, the first ones;
    measures that are not finite are left out.

    Raises:
        ValueError: the phase is candidate or dissolved, or a value does not fit the contract.

    """
    if event.phase not in SENT_PHASES:
        msg = f"an episode in phase {event.phase} stays on the box"
        raise ValueError(msg)
    measures = [(name, value) for name, value in event.measures.items() if math.isfinite(value)]
    return AlertMessage.model_validate(
        {
            "alert_id": event.alert_id,
            "phase": event.phase.value,
            "phase_seq": event.phase_seq,
            "outbox_id": sender.outbox_id,
            "outbox_seq": outbox_seq,
            "boot_id": sender.boot_id,
            "site": sender.site,
            "edge": sender.edge,
            "kind": event.kind,
            "camera": event.camera,
            "preset": event.preset,
            "zone": event.zone,
            "place_key": event.place_key,
            "started_at": event.started_at,
            "captured_at": event.captured_at,
            "ended_at": event.ended_at,
            "clock": clock,
            "confidence": min(max(event.confidence, 0.0), 1.0),
            "boxes": _named(event.boxes),
            "position": event.place and _position(event.place),
            "measures": dict(measures[:MAX_MEASURES]),
            "reason": event.reason,
            "evidence": tuple(evidence),
            "model": event.model,
            "precision": event.precision,
            "rule": event.rule,
            "historical": historical,
        }
    )


def _position(place: Ellipse) -> Position:
    return Position(
        lat_deg=round(place.lat_deg, 7),  # 1 cm
        lon_deg=round(place.lon_deg, 7),
        semi_major_m=round(place.semi_major_m, 1),
        semi_minor_m=round(place.semi_minor_m, 1),
        orientation_deg=round(place.orientation_deg, 2) % 180,
        bearing_deg=None if place.bearing_deg is None else round(place.bearing_deg, 2) % 360,
    )


def _named(boxes: Iterable[LabelledBox]) -> tuple[NamedBox, ...]:
    named = []
    for one in boxes:
        x1, y1, x2, y2 = (min(max(float(value), 0.0), 1.0) for value in one.box)
        if x1 < x2 and y1 < y2:
            confidence = min(max(one.confidence, 0.0), 1.0)
            named.append(NamedBox(label=one.label, confidence=confidence, x1=x1, y1=y1, x2=x2, y2=y2))
    return tuple(named[:MAX_BOXES])
