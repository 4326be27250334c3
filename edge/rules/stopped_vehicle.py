"""Stopped vehicle: one that stands on a road whose traffic moves past it.

Many that stand are congestion, and congestion masks the event (as Luqiao's system has it): the
alert then waits. A vehicle that nothing passes may wait at a light; it is reported only after four
times ``stop_time_s``, which is beyond any red phase.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from edge.observe import Finding, Observation
from edge.rule_config import StoppedVehicleRuleConfig
from edge.rules.road import Road, RoadState
from edge.shapes import Zone
from edge.spots import Spot

MIN_HITS = 3
MIN_EVIDENCE = 0.15  # as for parking
PASSAGES = 2  # vehicles that went by while it stood: then it is no queue
QUIET_FACTOR = 4.0
CROWD = 3  # from so many standing at once, with nothing passing, it is congestion


@dataclass(slots=True)
class StoppedVehicleRule:
    """Stopped vehicles in one zone of one view."""

    config: StoppedVehicleRuleConfig
    zone: Zone
    tz: tzinfo
    interval_s: float
    _road: Road = field(init=False)

    def __post_init__(self) -> None:
        """Make an empty road."""
        config = self.config
        least = config.min_confidence or 0.0
        self._road = Road(self.zone, config.labels, least, config.stop_time_s, self.interval_s)

    @property
    def name(self) -> str:
        """Rule and version."""
        return "stopped_vehicle/1"

    @property
    def hold_s(self) -> float:
        """Short: the spots' own grace has passed when a finding stops."""
        return self.config.hold_s or max(10.0, 3 * self.interval_s)

    def __call__(self, seen: Observation) -> list[Finding]:
        """State which vehicles stand in moving traffic."""
        state, ended = self._road.update(seen)
        findings = [self._finding(spot, seen, confirmed=False, over=True) for spot in ended if spot.reported]
        schedule = self.config.schedule
        if schedule is not None and not schedule.in_force(seen.captured_at, self.tz):
            return findings
        for spot in state.standing:
            if not self._is_stopped(spot, state, seen) and not spot.reported:
                continue
            confirmed = spot.alarmed or self._is_sure(spot)
            spot.reported, spot.alarmed = True, confirmed
            findings.append(self._finding(spot, seen, confirmed=confirmed, over=False))
        return findings

    def _is_stopped(self, spot: Spot, state: RoadState, seen: Observation) -> bool:
        if self._road.flow_past(spot) >= PASSAGES:
            return True
        quiet = spot.dwell_s(seen.monotonic_s) >= QUIET_FACTOR * self.config.stop_time_s
        return quiet and len(state.standing) < CROWD

    def _is_sure(self, spot: Spot) -> bool:
        return spot.is_present and spot.hits >= MIN_HITS and spot.evidence >= MIN_EVIDENCE

    def _finding(self, spot: Spot, seen: Observation, *, confirmed: bool, over: bool) -> Finding:
        return Finding(
            kind="stopped_vehicle",
            place_key=f"{self.zone.id}/{spot.key}",
            confirmed=confirmed,
            since=spot.since_at,
            confidence=min(spot.confidence, 1.0),
            boxes=(spot.box,),
            zone=self.zone.id,
            measures={
                "dwell_s": round(spot.dwell_s(spot.last_present_s if over else seen.monotonic_s), 3),
                "passed_by": float(self._road.flow_past(spot)),
            },
            over=over,
            label=spot.label,
            until=spot.last_present_at,
        )

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        return {"road": self._road.dump()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self._road.load(state.get("road", {}))
