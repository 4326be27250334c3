"""Smoke by votes over time in a view: one picture never decides.

Two witnesses are heard: the detector, and the view's own memory (:mod:`edge.reference`). A box counts
where the view has changed there and not around it; a rock or a roof that looks like smoke always did.
Where the detector is sure the vote counts twice, and less time is needed. A box whose foot is in the
sky is a cloud, one in a known source while that works is its chimney.

What is joined over time is a tube. After pyronear's window (pyro-engine ``predictor.py``): of the last
eight samples at least half must have voted; while it lasts, eight tenths of that are enough. Boxes
wider than 0.4 of the frame, which pyronear drops, count where the detector is sure and the change is
local: a fire 500 m off fills the view. The window is the last eight samples or the last 80 s,
whichever reaches farther back, so that one picture a minute and one in two seconds both work. A tube
whose foot wanders off is dust behind a machine, or a shadow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Protocol

from edge.config import KnownSource
from edge.observe import Box, Finding, Observation
from edge.reference import Novelty
from edge.rule_config import SmokeRuleConfig
from edge.rules.smoke_dismissals import Dismissals
from edge.rules.smoke_habits import Habits
from edge.rules.smoke_tubes import Tube, Vote
from edge.shapes import Zone, area, foot_of, overlap_of_smaller
from streams.frame import Picture

HYSTERESIS = 0.8
WINDOW_S = 80.0  # the least time that a window spans
MIN_SPAN_S = 20.0  # so long must smoke have been seen: a gust of dust is over by then
WEAK_SPAN_S = 60.0  # and so long where the detector alone was never sure
FORGET_S = 3600.0  # a window never reaches farther back than this: another hour, another light
NEW_FRAC = 0.12  # of a box must be new in the view
SURE_NEW_FRAC = 0.08  # and so much where the detector is sure: far smoke is thin, and boxes are wide
MIN_VOTES = 3
MIN_SIGHTINGS = 2  # of them the detector's own, however weak
SEEN_FRAC, PATIENCE_S = 0.5, 900.0  # of the pictures so many must show it, unless it has lasted so long
PATIENT_SEEN = 8  # and weighs so much then
MIN_SEEN = 4  # weight of those since it began: two that are sure, or four that are weak
MIN_GROWTH = 0.7  # smoke that is hardly believed must not be shrinking
SOURCE_FRAC = 0.3
CANDIDATE_SIGHTINGS = 2
LEARN_AFTER_S = 3600.0  # what has been there for so long becomes part of the view


class ViewMemory(Protocol):
    """What the rule asks of :class:`edge.reference.ViewReference`."""

    def see(self, image: Picture, now_s: float, covered: Sequence[Box] = ()) -> None:
        """Compare a picture with what is usual and remember it."""
        ...

    def novelty(self, box: Box) -> Novelty | None:
        """Say what is new in a box of that picture; None where it cannot be told."""
        ...


@dataclass(slots=True)
class SmokeRule:
    """Smoke in one view, or in one zone of it."""

    config: SmokeRuleConfig
    zone: Zone | None
    tz: tzinfo
    interval_s: float
    memory: ViewMemory
    known_sources: Sequence[KnownSource] = ()
    _samples: list[float] = field(default_factory=list)
    _tubes: list[Tube] = field(default_factory=list)
    _habits: Habits = field(default_factory=Habits)
    _dismissals: Dismissals = field(default_factory=Dismissals)
    _season: float = 1.0  # what is asked today, of what is asked as a rule

    @property
    def name(self) -> str:
        """Rule and version."""
        return "smoke/2"

    @property
    def hold_s(self) -> float:
        """The window has emptied before; smoke that drifts off and comes again is one fire."""
        return self.config.hold_s or max(60.0, 5 * self.interval_s)

    def dismissed(self, box: Box, reason: str, at: datetime) -> None:
        """Ask more of what looks like a box that an operator dismissed at ``at``, an aware time."""
        known = reason == "known_source"
        days = self.config.dismissed_source_days if known else self.config.dismissed_days
        self._dismissals.learn(box, reason, at, days)

    def __call__(self, seen: Observation) -> list[Finding]:
        """State where there is smoke now."""
        now_s = seen.monotonic_s
        today = seen.captured_at.astimezone(self.tz).date()
        self._season = min((one.ease for one in self.config.seasons if one.holds(today)), default=1.0)
        self._samples = [*self._samples, now_s][-1000:]
        start_s = self._window_start(now_s)
        self._samples = [at_s for at_s in self._samples if at_s >= start_s]
        # a candidate is kept out of the reference, or smoke would soon be part of the view
        young = [tube.box for tube in self._tubes if now_s - tube.born_s < LEARN_AFTER_S]
        self.memory.see(seen.image, now_s, young)
        for vote in self._votes(seen):
            self._join(vote)
        self._carry_on(seen)
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

    def _votes(self, seen: Observation) -> list[Vote]:
        """Return the boxes that count, the surest first."""
        quiet = [source for source in self.known_sources if source.works(seen.captured_at, self.tz)]
        found = [
            (box, confidence)
            for box, confidence in self._boxes(seen)
            if not any(source.covers_frac(foot_of(box)) >= 0.5 for source in quiet)
        ]
        inside = [one for one in found if self.zone is None or self.zone.covers_frac(one[0]) >= 0.3]
        votes = [
            vote for box, confidence in inside if (vote := self._vote(seen, box, confidence)) is not None
        ]
        votes = [vote for vote in votes if not any(_reaches(vote.where, source) for source in quiet)]
        news = {vote.box for vote in votes}
        self._habits.see([box for box, _ in found if box not in news], seen.monotonic_s)
        return sorted(votes, key=lambda one: (-(one.confidence or 0.0), one.box))

    def _boxes(self, seen: Observation) -> list[tuple[Box, float]]:
        """Return what the detector has found now, and how sure it is."""
        width, height = seen.size_px
        wanted = seen.detections.with_labels(self.config.labels)
        boxes = (wanted.xyxy / (width, height, width, height)).tolist()
        pairs = zip(boxes, wanted.confidence.tolist(), strict=True)
        whole: list[tuple[Box, float]] = [((x1, y1, x2, y2), sure) for (x1, y1, x2, y2), sure in pairs]
        return [
            (box, sure)
            for box, sure in whole
            if sure >= self.config.weak_confidence * HYSTERESIS and area(box) > 0
        ]

    def _vote(self, seen: Observation, box: Box, confidence: float) -> Vote | None:
        """Weigh one box: what the detector says of it, and what the view's reference does."""
        lasting = any(tube.alarmed and tube.overlap(box) > 0 for tube in self._tubes)
        ease = (HYSTERESIS if lasting else 1.0) * self._season
        strong = confidence >= self.config.min_confidence * ease
        if not strong and confidence < self.config.weak_confidence * ease:
            return None
        waits = lasting or any(tube.doubted and tube.overlap(box) > 0 for tube in self._tubes)
        if not waits and self._habits.is_usual(box):
            return None
        news = self.memory.novelty(box)
        least_frac = SURE_NEW_FRAC if strong else NEW_FRAC
        here = news is not None and news.foot_on_land and news.stands_out(least_frac, told=lasting)
        if box[2] - box[0] > self.config.max_width_frac:
            counts = here and strong
        else:
            counts = here or (lasting and strong)
        if not counts:
            return None
        new_frac = None if news is None else round(news.inside_frac, 3)
        steady_frac = None if news is None else news.steady_frac
        place = None if news is None else news.place
        return Vote(seen.monotonic_s, seen.captured_at, box, confidence, strong, new_frac, steady_frac, place)

    def _join(self, vote: Vote) -> None:
        """Add a vote to the tube it fits best, one vote a sample and tube, or start one.

        What fits smoke that has been told is that, though it fits another better.
        """
        fits = [(tube.has_told_of(vote.where), tube.overlap(vote.where), tube) for tube in self._tubes]
        best = max((one for one in fits if one[0] or one[1] > 0), key=lambda one: one[:2], default=None)
        if best is not None:
            if best[2].votes[-1].at_s < vote.at_s:
                best[2].add(vote)
            return
        x, y = (vote.box[0] + vote.box[2]) / 2, (vote.box[1] + vote.box[3]) / 2
        zone = f"{self.zone.id}/" if self.zone else ""
        key = f"{zone}{x:.3f}-{y:.3f}-{int(vote.at.timestamp())}"
        tube = Tube(key, [], vote.at, vote.at_s)
        tube.add(vote)
        self._tubes.append(tube)

    def _carry_on(self, seen: Observation) -> None:
        """Let a place vote that the detector missed this time and that is as new as it was before."""
        for tube in self._tubes:
            last = tube.votes[-1]
            if tube.sightings < MIN_SIGHTINGS - 1 or last.at_s >= seen.monotonic_s:
                continue
            news = self.memory.novelty(last.box)
            if news is not None and news.foot_on_land and news.stands_out(NEW_FRAC, told=tube.alarmed):
                new_frac = round(news.inside_frac, 3)
                vote = Vote(
                    seen.monotonic_s, seen.captured_at, last.box, None, strong=False, new_frac=new_frac,
                    steady_frac=news.steady_frac, place=news.place,
                )  # fmt: skip
                tube.add(vote)

    def _state(self, tube: Tube, now_s: float) -> Finding | None:
        votes = len(tube.votes)
        first_s = tube.votes[0].at_s
        samples = sum(at_s >= first_s for at_s in self._samples)
        told, tube.alarmed = tube.alarmed, self._holds(tube, samples)
        if told and not tube.alarmed:
            tube.course = None  # what comes later is told anew
        if not tube.alarmed and tube.sightings < CANDIDATE_SIGHTINGS:
            return None
        if not tube.reported:
            tube.reported, tube.since = True, tube.votes[0].at
        measures = {
            "votes": float(votes),
            "sightings": float(tube.sightings),
            "samples": float(samples),
            "share_frac": round(votes / samples, 3),
            "area_frac": round(area(tube.box), 6),
            "growth_ratio": round(tube.growth_ratio(), 3),
            "visible_s": round(now_s - first_s, 3),
        }
        if self._dismissals.like(tube.box, tube.votes[-1].at) is not None:
            measures["dismissed_before"] = 1.0
        if tube.new_frac is not None:
            measures["new_frac"] = round(tube.new_frac, 3)
        return Finding(
            kind="smoke",
            place_key=tube.key,
            confirmed=tube.alarmed,
            since=tube.since,
            confidence=min(tube.confidence, 1.0),
            boxes=(tube.box,),
            zone=self.zone.id if self.zone else None,
            measures=measures,
        )

    def _holds(self, tube: Tube, samples: int) -> bool:
        """Whether the votes of a tube are enough to alarm, or to go on."""
        votes = len(tube.votes)
        ease = (HYSTERESIS if tube.alarmed else 1.0) * self._season
        share_frac = self.config.min_share_frac * ease
        seen_frac = tube.sightings / samples
        if votes < samples * share_frac or tube.weight < self.config.window * share_frac:
            return False
        if tube.alarmed:
            return True
        lasted_s = tube.votes[-1].at_s - tube.born_s
        if seen_frac < SEEN_FRAC and (lasted_s < PATIENCE_S or tube.seen_weight < PATIENT_SEEN):
            return False
        sure = tube.strong >= MIN_VOTES
        if votes < MIN_VOTES or tube.sightings < MIN_SIGHTINGS or tube.seen_weight < MIN_SEEN:
            return False
        if tube.votes[-1].at_s - tube.votes[0].at_s < (MIN_SPAN_S if sure else WEAK_SPAN_S):
            return False
        grows = sure or tube.growth_ratio() >= MIN_GROWTH
        return tube.foot_stays() and tube.is_steady() and grows and not self._is_doubted(tube)

    def _is_doubted(self, tube: Tube) -> bool:
        """Whether what would alarm was dismissed before; then it waits, and is no habit meanwhile."""
        last = tube.votes[-1]
        is_so = self._dismissals.doubts(last.box, last.at, last.at_s - tube.born_s)
        tube.doubted = tube.doubted or is_so
        return is_so

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values; the view's reference ripens anew after a restart."""
        return {
            "samples": list(self._samples),
            "tubes": [tube.dump() for tube in self._tubes],
            "habits": self._habits.dump(),
            "dismissals": self._dismissals.dump(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state; one of an older rule is left behind."""
        try:
            tubes = [Tube.restore(one) for one in state.get("tubes", ())]
            self._samples = [float(at_s) for at_s in state.get("samples", ())]
            habits, dismissals = Habits.restore(state["habits"]), Dismissals.restore(state)
        except (KeyError, ValueError):
            return
        self._tubes, self._habits, self._dismissals = tubes, habits, dismissals


def _reaches(place: Box, source: KnownSource) -> bool:
    """Whether a patch of change holds so much of a known source that it is its smoke that drifts off."""
    return overlap_of_smaller(place, source.polygon.bounds) >= SOURCE_FRAC
