"""Illegal parking: a vehicle that stands in a zone for longer than it may.

Two timers as cameras of the trade have them (Hikvision: stop sensitivity, legal time): standing for
``stop_time_s`` makes a candidate, for which a first picture is kept; ``legal_time_s`` makes an alert.
Dwell belongs to a spot (:mod:`edge.spots`), so one stay is one alert, whatever the tracker thinks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

from edge.observe import Finding, Observation
from edge.rule_config import ParkingRuleConfig
from edge.rules.sizes import SizeByRow
from edge.shapes import Zone, foot_of
from edge.spots import Spot, SpotMemory, SpotSettings
from edge.vehicle_boxes import vehicles_of

MIN_HITS = 3  # detections; less is a slip of the detector, however long the place looked alike
# mean confidence over all observations, missed ones as zero: a car found at 0.5 in one picture of
# three is enough, a shape found at 0.25 in one of two is not, for its box cannot be trusted either
MIN_EVIDENCE = 0.15
# a detector that is sure of a vehicle whenever it finds it may find it seldom
SURE_CONFIDENCE, SURE_HITS, SURE_EVIDENCE = 0.4, 8, 0.05
SWAP_S, VACANT_S = 90.0, 20.0  # a queue may wait before a parked car for a red phase
MIN_PRESENT_FRAC = 0.6  # and this share it must have been present in; a queue's places are not


@dataclass(slots=True)
class ParkingRule:
    """Illegal parking in one zone of one view.

    Args:
        config: timers, labels and shares.
        zone: where vehicles must not stand.
        tz: in which the schedule is read.
        interval_s: usual time between two observations.

    """

    config: ParkingRuleConfig
    zone: Zone
    tz: tzinfo
    interval_s: float
    _memory: SpotMemory = field(init=False)
    _sizes: SizeByRow = field(default_factory=SizeByRow)

    def __post_init__(self) -> None:
        """Make an empty memory."""
        settings = SpotSettings(
            interval_s=self.interval_s, grace_s=self.config.grace_s, swap_s=SWAP_S, vacant_s=VACANT_S
        )
        self._memory = SpotMemory(settings)

    @property
    def name(self) -> str:
        """Rule and version."""
        return "illegal_parking/2"

    @property
    def hold_s(self) -> float:
        """Short: the spots' own grace has passed when a finding stops."""
        return self.config.hold_s or max(10.0, 3 * self.interval_s)

    def __call__(self, seen: Observation) -> list[Finding]:
        """State which vehicles stand where they must not, and which have left."""
        least = self.config.min_confidence or 0.0
        everywhere = vehicles_of(seen.detections, seen, self.config.labels, least)
        self._sizes.learn([one.box for one in everywhere])
        inside = self.zone.covers_fracs([foot_of(one.box) for one in everywhere])
        least_frac = self.config.min_inside_frac / 2
        vehicles = [one for one, share in zip(everywhere, inside, strict=True) if share >= least_frac]
        ended = self._memory.update(seen, vehicles, everywhere)
        findings = [self._over(spot) for spot in ended if spot.reported]
        in_force_since = self._in_force_since(seen.captured_at)
        for spot in self._memory.spots:
            if self._is_permitted(spot, seen.captured_at):
                spot.permitted_at = seen.captured_at
            if in_force_since is None or spot.permitted_at == seen.captured_at:
                if spot.reported:
                    findings.append(self._over(spot))
                    spot.reported = spot.alarmed = False
                continue
            finding = self._state(spot, seen, in_force_since)
            if finding is not None:
                spot.reported = True
                spot.alarmed = spot.alarmed or finding.confirmed
                findings.append(finding)
        return findings

    def _in_force_since(self, at: datetime) -> datetime | None:
        if self.config.schedule is None:
            return datetime.min.replace(tzinfo=at.tzinfo)
        return self.config.schedule.in_force_since(at, self.tz)

    def _is_permitted(self, spot: Spot, at: datetime) -> bool:
        foot = foot_of(spot.box)
        return any(
            one.covers_frac(foot) >= self.config.min_inside_frac and one.allows(at, self.tz)
            for one in self.config.permits
        )

    def _state(self, spot: Spot, seen: Observation, in_force_since: datetime) -> Finding | None:
        """Return the finding of one spot, None while it does not stand for long enough."""
        since = max(spot.since_at, in_force_since)
        if spot.permitted_at is not None:  # up to the observation after the last that was permitted
            since = max(since, spot.permitted_at + timedelta(seconds=self.interval_s))
        forbidden_s = (seen.captured_at - since).total_seconds()
        dwell_s = min(spot.dwell_s(seen.monotonic_s), forbidden_s)
        if spot.reported:
            return self._finding(spot, dwell_s, self._is_confirmed(spot, dwell_s))
        stands = spot.is_present and spot.hits >= 2 and spot.present_frac >= MIN_PRESENT_FRAC
        if not stands or dwell_s < self.config.stop_time_s or not self._is_inside(spot):
            return None
        return self._finding(spot, dwell_s, self._is_confirmed(spot, dwell_s))

    def _is_inside(self, spot: Spot) -> bool:
        return self.zone.covers_frac(foot_of(spot.box)) >= self.config.min_inside_frac

    def _is_confirmed(self, spot: Spot, dwell_s: float) -> bool:
        return (
            dwell_s >= self.config.legal_time_s
            and spot.is_present
            and spot.hits >= MIN_HITS
            and _is_believed(spot)
            and (spot.alarmed or not spot.has_fallen_silent)
            and self._sizes.is_plausible(spot.box)
            and spot.present_frac >= MIN_PRESENT_FRAC
            and self._is_inside(spot)
        )

    def _finding(self, spot: Spot, dwell_s: float, confirmed: bool) -> Finding:  # noqa: FBT001 - one caller
        return Finding(
            kind="illegal_parking",
            place_key=f"{self.zone.id}/{spot.key}",
            confirmed=confirmed,
            since=spot.since_at,
            confidence=min(spot.confidence, 1.0),
            boxes=(spot.box,),
            zone=self.zone.id,
            measures={
                "dwell_s": round(dwell_s, 3),
                "present_frac": round(spot.present_frac, 3),
                "detected_frac": round(spot.seen_frac, 3),
            },
            label=spot.label,
            until=spot.last_present_at,
        )

    def _over(self, spot: Spot) -> Finding:
        dwell_s = (spot.last_present_at - spot.since_at).total_seconds()
        return replace(self._finding(spot, dwell_s, confirmed=False), over=True)

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        return {"memory": self._memory.dump(), "sizes": self._sizes.dump()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self._memory.load(state.get("memory", {}))
        self._sizes.load(state.get("sizes", {}))


def _is_believed(spot: Spot) -> bool:
    if spot.evidence >= MIN_EVIDENCE:
        return True
    sure = spot.confidence >= SURE_CONFIDENCE and spot.hits >= SURE_HITS
    return sure and spot.evidence >= SURE_EVIDENCE
