"""The box's word on itself, every 30 s: what each camera saw, what waits, what was given up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alerts.messages import (
    BlindReason,
    CameraHealth,
    ClockState,
    Freshness,
    HealthMessage,
    OutboxHealth,
)
from edge.records import CameraReport

PERIOD_S = 30.0
# 16 cameras with a long Chinese detail each and 100 ids stay below the contract's 16 KB; a test holds it
CAMERAS_A_PART = 16
ALERTS_A_PART = 100
MAX_DETAIL = 100
GAP_INTERVALS = 3.0  # two analyses further apart than this leave the time between unwatched
MIN_GAP_S = 3.0
STRETCHED = 1.25  # of its interval: from there on a camera is looked at less often than it should be


@dataclass(slots=True)
class CameraTally:
    """What one camera did in the running period. All times on one monotonic clock, in seconds."""

    camera: str
    interval_s: float
    covered_s: float = 0.0
    analysed: int = 0
    dropped: int = 0
    looks: int = 0
    spared: int = 0
    lags_ms: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    spacing_s: float = 0.0
    ratio: float | None = None
    """Mean gap of the last period over the interval, or over the stream's rhythm where that is slower."""
    last_captured_at: datetime | None = None
    note: str = ""
    """What the camera said last of something that works worse than it should."""
    night: BlindReason | None = None
    """Why smoke could not be seen when the camera said so last; such time is not covered."""
    _seen_s: float | None = None

    def add(self, report: CameraReport) -> None:
        """Count a report in; time since the last good analysis is covered unless it is a gap."""
        self.dropped += report.dropped
        self.analysed += report.analysed
        self.looks += report.looks
        self.spared += report.spared
        self.lags_ms += report.lag_ms
        self.spacing_s, self.note, self.night = report.spacing_s, report.note, report.night
        if report.last_captured_at is not None:
            self.last_captured_at = report.last_captured_at
        if report.trouble is not None:
            self._seen_s = None
            return
        if report.analysed == 0:
            return
        if self._seen_s is not None:
            gap_s = report.at_s - self._seen_s
            self.gaps_s.append(gap_s)
            if self.night is None and gap_s <= max(GAP_INTERVALS * self.interval_s, MIN_GAP_S):
                self.covered_s += gap_s
        self._seen_s = report.at_s

    def close(self, state: tuple[Freshness, BlindReason | None, str], period_s: float) -> CameraHealth:
        """Return the period's figures and begin the next one."""
        freshness, reason, detail = state
        detail = detail or self.note
        if freshness is Freshness.FRESH and self.night is not None:
            freshness, reason = Freshness.NIGHT, self.night
        health = CameraHealth(
            camera=self.camera,
            state=freshness,
            reason=reason,
            detail="".join(one if one.isprintable() else " " for one in detail[:MAX_DETAIL]),
            last_captured_at=self.last_captured_at,
            covered_s=round(min(self.covered_s, period_s), 3),
            analysed=self.analysed,
            dropped=self.dropped,
            lag_p95_ms=percentile(self.lags_ms, 0.95),
            interval_s=self.interval_s,
            gap_p95_s=percentile(self.gaps_s, 0.95),
            looks=self.looks,
            spared=self.spared,
        )
        self.covered_s, self.analysed, self.dropped, self.looks, self.spared = 0.0, 0, 0, 0, 0
        wanted_s = max(self.interval_s, self.spacing_s)
        self.ratio = sum(self.gaps_s) / len(self.gaps_s) / wanted_s if self.gaps_s else None
        self.lags_ms, self.gaps_s = [], []
        return health


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least ``share`` of the values do not exceed; None for none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, slots=True)
class BoxFacts:
    """What all parts of a health message have in common."""

    boot_id: str
    at: datetime
    period_s: float
    clock: ClockState
    outbox: OutboxHealth
    disk_free_bytes: int
    workers_restarted: int
    version: str
    config_sha256: str
    stretch: float = 1.0


def health_messages(
    facts: BoxFacts, cameras: Sequence[CameraHealth], open_alerts: Sequence[str]
) -> tuple[HealthMessage, ...]:
    """Split a box's health into as many messages as the contract's size asks for, at least one."""
    parts = max(1, math.ceil(len(cameras) / CAMERAS_A_PART), math.ceil(len(open_alerts) / ALERTS_A_PART))
    return tuple(
        HealthMessage(
            boot_id=facts.boot_id,
            at=facts.at,
            period_s=facts.period_s,
            part=part,
            parts=parts,
            clock=facts.clock,
            cameras=tuple(cameras[part * CAMERAS_A_PART : (part + 1) * CAMERAS_A_PART]),
            outbox=facts.outbox,
            open_alerts=tuple(open_alerts[part * ALERTS_A_PART : (part + 1) * ALERTS_A_PART]),
            disk_free_bytes=facts.disk_free_bytes,
            workers_restarted=facts.workers_restarted,
            version=facts.version,
            config_sha256=facts.config_sha256,
            stretch=round(facts.stretch, 3),
        )
        for part in range(parts)
    )


def stretched(cameras: Sequence[CameraHealth]) -> list[str]:
    """Return the cameras that were looked at less often than configured, the box being overloaded."""
    return [one.camera for one in cameras if (one.gap_p95_s or 0.0) > STRETCHED * one.interval_s]
