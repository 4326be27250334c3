"""Smoke by votes over time in a view: one picture never decides.

After pyronear's window (pyro-engine ``predictor.py``): of the last eight samples at least half must
have seen smoke at one place with a mean confidence over the threshold; while it lasts, eight tenths
of both are enough; boxes wider than 0.4 of the frame are dropped; IoU 0.1 joins boxes, for plumes
have no edge. What is joined over time is a tube. The window is the last eight samples or the last
40 s, whichever reaches farther back, so that one picture a minute and one in two seconds both work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from edge.config import SmokeRuleConfig
from edge.observe import Box, Finding, Observation
from edge.shapes import Zone, area, iou
from towerwatch.timebase import parse_utc

JOIN_IOU = 0.1
HYSTERESIS = 0.8
WINDOW_S = 40.0  # the least time that a window spans
MIN_SPAN_S = 20.0  # and the least for which smoke must have been seen: a gust of dust is over by then
FORGET_S = 3600.0  # a window never reaches farther back than this: another hour, another light
CANDIDATE_HITS = 2


@dataclass(slots=True)
class _Vote:
    at_s: float
    at: datetime
    box: Box
    confidence: float


@dataclass(slots=True, eq=False)
class _Tube:
    key: str
    votes: list[_Vote]
    since: datetime
    reported: bool = False
    alarmed: bool = False

    @property
    def box(self) -> Box:
        return self.votes[-1].box


@dataclass(slots=True)
class SmokeRule:
    """Smoke in one view, or in one zone of it."""

    config: SmokeRuleConfig
    zone: Zone | None
    tz: tzinfo
    interval_s: float
    _samples: list[float] = field(default_factory=list)
    _tubes: list[_Tube] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Rule and version."""
        return "smoke/1"

    @property
    def hold_s(self) -> float:
        """The window has emptied before; smoke that drifts off and comes again is one fire."""
        return self.config.hold_s or max(60.0, 5 * self.interval_s)

    def __call__(self, seen: Observation) -> list[Finding]:
        """State where there is smoke now."""
        now_s = seen.monotonic_s
        self._samples = [*self._samples, now_s][-1000:]
        start_s = self._window_start(now_s)
        self._samples = [at_s for at_s in self._samples if at_s >= start_s]
        for box, confidence in self._boxes(seen):
            self._join(_Vote(now_s, seen.captured_at, box, confidence))
        for tube in self._tubes:
            tube.votes = [vote for vote in tube.votes if vote.at_s >= start_s]
        self._tubes = [tube for tube in self._tubes if tube.votes]
        schedule = self.config.schedule
        if schedule is not None and not schedule.in_force(seen.captured_at, self.tz):
            return []
        findings = (self._state(tube, now_s) for tube in self._tubes)
        return [finding for finding in findings if finding is not None]

    def _window_start(self, now_s: float) -> float:
        by_samples = self._samples[-self.config.window :][0]
        return max(min(by_samples, now_s - WINDOW_S), now_s - FORGET_S)

    def _boxes(self, seen: Observation) -> list[tuple[Box, float]]:
        width, height = seen.size_px
        wanted = seen.detections.with_labels(self.config.labels)
        found = []
        for row, confidence in zip(wanted.xyxy.tolist(), wanted.confidence.tolist(), strict=True):
            box: Box = (row[0] / width, row[1] / height, row[2] / width, row[3] / height)
            if box[2] - box[0] > self.config.max_width_frac or area(box) <= 0:
                continue
            if self.zone is not None and self.zone.covers_frac(box) < 0.3:
                continue
            found.append((box, confidence))
        return sorted(found, key=lambda one: (-one[1], one[0]))

    def _join(self, vote: _Vote) -> None:
        """Add a vote to the tube it overlaps most, one vote a sample and tube, or start one."""
        overlaps = [(max(iou(old.box, vote.box) for old in tube.votes[-8:]), tube) for tube in self._tubes]
        best = max((one for one in overlaps if one[0] >= JOIN_IOU), key=lambda one: one[0], default=None)
        if best is not None:
            if best[1].votes[-1].at_s < vote.at_s:
                best[1].votes.append(vote)
            return
        x, y = (vote.box[0] + vote.box[2]) / 2, (vote.box[1] + vote.box[3]) / 2
        zone = f"{self.zone.id}/" if self.zone else ""
        key = f"{zone}{x:.3f}-{y:.3f}-{int(vote.at.timestamp())}"
        self._tubes.append(_Tube(key, [vote], vote.at))

    def _state(self, tube: _Tube, now_s: float) -> Finding | None:
        hits, samples = len(tube.votes), len(self._samples)
        confidence = sum(vote.confidence for vote in tube.votes) / hits
        ease = HYSTERESIS if tube.alarmed else 1.0
        valid = (
            hits >= self.config.window * self.config.min_share_frac * ease
            and hits >= samples * self.config.min_share_frac * ease
            and confidence >= self.config.min_confidence * ease
            and now_s - tube.votes[0].at_s >= MIN_SPAN_S
        )
        tube.alarmed = valid
        if not valid and hits < CANDIDATE_HITS:
            return None
        if not tube.reported:
            tube.reported, tube.since = True, tube.votes[0].at
        return Finding(
            kind="smoke",
            place_key=tube.key,
            confirmed=valid,
            since=tube.since,
            confidence=min(confidence, 1.0),
            boxes=(tube.box,),
            zone=self.zone.id if self.zone else None,
            measures={
                "votes": float(hits),
                "samples": float(samples),
                "share_frac": round(hits / samples, 3),
                "area_frac": round(area(tube.box), 6),
                "visible_s": round(now_s - tube.votes[0].at_s, 3),
            },
        )

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        return {
            "samples": list(self._samples),
            "tubes": [
                {
                    "key": tube.key,
                    "since": tube.since.isoformat(),
                    "reported": tube.reported,
                    "alarmed": tube.alarmed,
                    "votes": [[v.at_s, v.at.isoformat(), list(v.box), v.confidence] for v in tube.votes],
                }
                for tube in self._tubes
            ],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state."""
        self._samples = [float(at_s) for at_s in state.get("samples", ())]
        self._tubes = [
            _Tube(
                key=str(one["key"]),
                votes=[
                    _Vote(at_s, parse_utc(at), (box[0], box[1], box[2], box[3]), confidence)
                    for at_s, at, box, confidence in one["votes"]
                ],
                since=parse_utc(one["since"]),
                reported=bool(one["reported"]),
                alarmed=bool(one["alarmed"]),
            )
            for one in state.get("tubes", ())
        ]
