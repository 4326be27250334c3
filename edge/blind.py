"""Blindness is an alert: a camera that shows nothing for longer than a limit, with the reason.

The watch is judged by the supervisor from what workers report, so that a worker that hangs or
crashes makes its cameras blind too. Pure: time comes in as data, episodes go out as events.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from alerts.messages import BlindReason, Freshness, Kind
from edge.episode import EpisodeEvent, EpisodePhase
from towerwatch.timebase import iso_z, parse_utc

RULE = "camera_blind/1"
PLACE_KEY = "camera"


@dataclass(frozen=True, slots=True)
class BlindTerms:
    """Limits in seconds.

    Attributes:
        open_after_s: trouble must last this long to become an alert.
        close_after_s: sight must last this long to close it (a camera that flaps stays blind).
        stale_after_s: no analysis for so long is trouble, whatever the worker says.

    """

    open_after_s: float = 30.0
    close_after_s: float = 10.0
    stale_after_s: float = 30.0


@dataclass(slots=True)
class BlindWatch:
    """The blindness of one camera.

    All ``now_s`` are seconds of one monotonic clock; ``now`` is the same instant in aware UTC.
    """

    camera: str
    terms: BlindTerms = field(default_factory=BlindTerms)
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex
    alert_id: str | None = None
    phase_seq: int = 0
    started_at: datetime | None = None
    reason: BlindReason | None = None
    _seen_s: float | None = None  # last good analysis
    _trouble: BlindReason | None = None
    _detail: str = ""
    _trouble_s: float | None = None
    _well_s: float | None = None
    _began_s: float | None = None

    def saw(self, now_s: float) -> None:
        """Note that a picture was analysed and shows something."""
        self._seen_s = now_s
        self._trouble_s = None
        self._trouble = None
        self._detail = ""
        if self._well_s is None:
            self._well_s = now_s

    def in_trouble(self, reason: BlindReason, detail: str, now_s: float) -> None:
        """Note that nothing is seen now, and why."""
        self._trouble, self._detail = reason, detail
        self._well_s = None
        if self._trouble_s is None:
            self._trouble_s = now_s

    def step(self, now_s: float, now: datetime) -> tuple[EpisodeEvent, ...]:
        """Judge what is known now; call it about once a second."""
        if self._began_s is None:
            self._began_s = now_s
        silent_s = now_s - (self._began_s if self._seen_s is None else self._seen_s)
        if self._trouble is None and silent_s > self.terms.stale_after_s:
            self.in_trouble(BlindReason.STALE, f"no picture analysed for {silent_s:.0f} s", now_s - silent_s)
        if self.alert_id is None:
            return self._maybe_open(now_s, now)
        return self._maybe_change(now_s, now)

    def _maybe_open(self, now_s: float, now: datetime) -> tuple[EpisodeEvent, ...]:
        if self._trouble is None or self._trouble_s is None:
            return ()
        lasted_s = now_s - self._trouble_s
        if lasted_s < self.terms.open_after_s:
            return ()
        self.alert_id, self.phase_seq, self.reason = self.new_id(), 0, self._trouble
        self.started_at = now - timedelta(seconds=lasted_s)
        return (self._event(EpisodePhase.OPENED, now),)

    def _maybe_change(self, now_s: float, now: datetime) -> tuple[EpisodeEvent, ...]:
        if self._trouble is not None:
            if self._trouble is self.reason or self._trouble_s is None:
                return ()
            self.reason = self._trouble
            self.phase_seq += 1
            return (self._event(EpisodePhase.UPDATED, now),)
        if self._well_s is None or now_s - self._well_s < self.terms.close_after_s:
            return ()
        self.phase_seq += 1
        event = self._event(EpisodePhase.CLOSED, now)
        self.alert_id = self.started_at = self.reason = None
        return (event,)

    def _event(self, phase: EpisodePhase, now: datetime) -> EpisodeEvent:
        started_at = min(self.started_at or now, now)
        return EpisodeEvent(
            alert_id=self.alert_id or "",
            phase=phase,
            phase_seq=self.phase_seq,
            kind=Kind.CAMERA_BLIND.value,
            camera=self.camera,
            preset="fixed",
            zone=None,
            place_key=PLACE_KEY,
            started_at=started_at,
            captured_at=now,
            ended_at=now if phase is EpisodePhase.CLOSED else None,
            confidence=1.0,
            boxes=(),
            rule=RULE,
            measures={"blind_s": (now - started_at).total_seconds()},
            reason=None if self.reason is None else self.reason.value,
        )

    def freshness(self, now_s: float, interval_s: float) -> tuple[Freshness, BlindReason | None, str]:
        """Return state, reason and detail for the health message."""
        if self.alert_id is not None:
            return Freshness.BLIND, self._trouble or self.reason, self._detail
        if self._trouble is not None:
            return Freshness.STALE, self._trouble, self._detail
        if self._seen_s is None:
            return Freshness.STARTING, None, ""
        late = now_s - self._seen_s > max(3 * interval_s, 5.0)
        return (Freshness.STALE, BlindReason.STALE, "") if late else (Freshness.FRESH, None, "")

    def dump(self) -> dict[str, Any] | None:
        """Return what must survive a restart; None while the camera sees."""
        if self.alert_id is None or self.started_at is None:
            return None
        return {
            "alert_id": self.alert_id,
            "phase_seq": self.phase_seq,
            "started_at": iso_z(self.started_at),
            "reason": None if self.reason is None else self.reason.value,
        }

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Continue an episode."""
        if state is None:
            return
        self.alert_id = str(state["alert_id"])
        self.phase_seq = int(state["phase_seq"])
        self.started_at = parse_utc(state["started_at"])
        self.reason = None if state["reason"] is None else BlindReason(state["reason"])
