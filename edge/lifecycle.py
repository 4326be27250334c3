"""From what a rule states now and now again to episodes: candidate, opened, updated, closed.

One :class:`Lifecycle` serves one rule in one view. An episode ends after ``hold_s`` of *observed*
time without a finding: a camera that was blind for an hour has seen nothing end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edge.episode import EpisodeEvent, EpisodePhase, LabelledBox
from edge.observe import Box, Finding
from edge.shapes import iou
from towerwatch.timebase import parse_utc

NewId = Callable[[], str]
GAP_INTERVALS = 3.0  # a longer gap was not watched, and counts as one interval only
NOTABLE_CONFIDENCE = 0.15
NOTABLE_START_S = 5.0
NOTABLE_IOU = 0.3


@dataclass(frozen=True, slots=True)
class Terms:
    """How one rule's findings become episodes.

    Attributes:
        rule: name and version of what decides.
        hold_s: seconds of observed time without a finding after which an episode ends.
        update_s: an open episode speaks at most once in this time, notable changes excepted.
        interval_s: usual time between two observations.
        model, precision: of the detector behind the rule, None without one.

    """

    rule: str
    hold_s: float
    update_s: float = 60.0
    interval_s: float = 2.0
    model: str | None = None
    precision: str | None = None


@dataclass(frozen=True, slots=True)
class OpenEpisode:
    """An episode that has not ended; ``opened`` is False while it is a candidate."""

    alert_id: str
    kind: str
    camera: str
    preset: str
    zone: str | None
    place_key: str
    opened: bool
    started_at: datetime
    phase_seq: int


@dataclass(slots=True)
class _Episode:
    alert_id: str
    kind: str
    place_key: str
    started_at: datetime
    last_found_at: datetime
    finding: Finding
    phase_seq: int = -1  # below 0: candidate
    unseen_s: float = 0.0
    since_sent_s: float = 0.0
    sent_confidence: float = 0.0
    sent_started_at: datetime | None = None
    sent_box: Box | None = None

    @property
    def opened(self) -> bool:
        return self.phase_seq >= 0


@dataclass(slots=True)
class Lifecycle:
    """The episodes of one rule in one view (camera and preset).

    Invariants: an id is minted when a candidate first appears and kept to the end; opened comes
    once and first, ``phase_seq`` grows by one a message, closed comes once and last; one episode a
    place at a time; the start never moves forward.
    """

    camera: str
    preset: str
    terms: Terms
    new_id: NewId
    _episodes: dict[tuple[str, str], _Episode] = field(default_factory=dict)

    def step(self, captured_at: datetime, gap_s: float, findings: Iterable[Finding]) -> list[EpisodeEvent]:
        """Take all findings of one observation, and say what has changed.

        Args:
            captured_at: aware UTC, of the observation.
            gap_s: seconds since the last observation of the view; inf on the first.
            findings: what the rule states now; of several for one place the first counts.

        """
        observed_s = self._observed(gap_s)
        found: dict[tuple[str, str], Finding] = {}
        for finding in findings:
            found.setdefault((finding.kind, finding.place_key), finding)
        events: list[EpisodeEvent] = []
        for key, episode in list(self._episodes.items()):
            episode.since_sent_s += observed_s
            if key not in found:
                events += self._missing(key, episode, captured_at, observed_s)
        for key, finding in found.items():
            events += self._found(key, finding, captured_at)
        return events

    def _observed(self, gap_s: float) -> float:
        if gap_s <= GAP_INTERVALS * self.terms.interval_s:
            return max(gap_s, 0.0)
        return self.terms.interval_s if gap_s != float("inf") else 0.0

    def _found(self, key: tuple[str, str], finding: Finding, at: datetime) -> list[EpisodeEvent]:
        events: list[EpisodeEvent] = []
        episode = self._episodes.get(key)
        if episode is None:
            if finding.over:
                return []
            episode = _Episode(self.new_id(), finding.kind, finding.place_key, finding.since, at, finding)
            self._episodes[key] = episode
            events.append(self._event(episode, EpisodePhase.CANDIDATE, at))
        episode.finding = finding
        episode.started_at = min(episode.started_at, finding.since)
        episode.unseen_s, episode.last_found_at = 0.0, at
        if finding.over:
            del self._episodes[key]
            return [*events, self._end(episode, at)]
        if not episode.opened and finding.confirmed:
            events.append(self._send(episode, EpisodePhase.OPENED, at))
        elif episode.opened and self._worth_telling(episode):
            events.append(self._send(episode, EpisodePhase.UPDATED, at))
        return events

    def _missing(
        self, key: tuple[str, str], episode: _Episode, at: datetime, observed_s: float
    ) -> list[EpisodeEvent]:
        episode.unseen_s += observed_s
        if episode.unseen_s < self.terms.hold_s:
            return []
        del self._episodes[key]
        return [self._end(episode, at)]

    def _end(self, episode: _Episode, at: datetime) -> EpisodeEvent:
        if not episode.opened:
            return self._event(episode, EpisodePhase.DISSOLVED, at)
        episode.phase_seq += 1
        ended_at = max(episode.finding.until or episode.last_found_at, episode.started_at)
        return self._event(episode, EpisodePhase.CLOSED, at, ended_at)

    def _worth_telling(self, episode: _Episode) -> bool:
        if episode.since_sent_s >= self.terms.update_s:
            return True
        finding, sent_start = episode.finding, episode.sent_started_at
        moved_start_s = (sent_start - episode.started_at).total_seconds() if sent_start else 0.0
        box = finding.boxes[0] if finding.boxes else None
        moved = box is not None and episode.sent_box is not None and iou(box, episode.sent_box) < NOTABLE_IOU
        surer = finding.confidence >= episode.sent_confidence + NOTABLE_CONFIDENCE
        return moved or surer or moved_start_s >= NOTABLE_START_S

    def _send(self, episode: _Episode, phase: EpisodePhase, at: datetime) -> EpisodeEvent:
        episode.phase_seq += 1
        episode.since_sent_s = 0.0
        episode.sent_confidence = max(episode.sent_confidence, episode.finding.confidence)
        episode.sent_started_at = episode.started_at
        episode.sent_box = episode.finding.boxes[0] if episode.finding.boxes else None
        return self._event(episode, phase, at)

    def _event(
        self, episode: _Episode, phase: EpisodePhase, at: datetime, ended_at: datetime | None = None
    ) -> EpisodeEvent:
        finding = episode.finding
        label = finding.label or finding.kind
        silent = phase in {EpisodePhase.CANDIDATE, EpisodePhase.DISSOLVED}
        return EpisodeEvent(
            alert_id=episode.alert_id,
            phase=phase,
            phase_seq=-1 if silent else episode.phase_seq,
            kind=finding.kind,
            camera=self.camera,
            preset=self.preset,
            zone=finding.zone,
            place_key=finding.place_key,
            started_at=episode.started_at,
            captured_at=at,
            confidence=finding.confidence,
            boxes=tuple(LabelledBox(label, finding.confidence, box) for box in finding.boxes),
            rule=self.terms.rule,
            model=self.terms.model,
            precision=self.terms.precision,
            ended_at=ended_at,
            measures=dict(finding.measures),
            reason=finding.reason,
        )

    @property
    def awaits_confirmation(self) -> bool:
        """Whether some candidate waits to be confirmed or dissolved."""
        return any(not one.opened for one in self._episodes.values())

    def episodes(self) -> tuple[OpenEpisode, ...]:
        """Return the candidates and open episodes, oldest first."""
        return tuple(
            OpenEpisode(
                alert_id=one.alert_id,
                kind=one.kind,
                camera=self.camera,
                preset=self.preset,
                zone=one.finding.zone,
                place_key=one.place_key,
                opened=one.opened,
                started_at=one.started_at,
                phase_seq=one.phase_seq,
            )
            for one in self._episodes.values()
        )

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able values."""
        return {"episodes": [_dump_episode(one) for one in self._episodes.values()]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a dumped state; what was known before is forgotten."""
        loaded = [_load_episode(one) for one in state.get("episodes", [])]
        self._episodes = {(one.kind, one.place_key): one for one in loaded}


def _dump_episode(one: _Episode) -> dict[str, Any]:
    return {
        "alert_id": one.alert_id,
        "started_at": _stamp(one.started_at),
        "last_found_at": _stamp(one.last_found_at),
        "phase_seq": one.phase_seq,
        "unseen_s": one.unseen_s,
        "since_sent_s": one.since_sent_s,
        "sent_confidence": one.sent_confidence,
        "sent_started_at": _stamp(one.sent_started_at) if one.sent_started_at else None,
        "sent_box": list(one.sent_box) if one.sent_box else None,
        "finding": dump_finding(one.finding),
    }


def _load_episode(state: Mapping[str, Any]) -> _Episode:
    finding = load_finding(state["finding"])
    return _Episode(
        alert_id=str(state["alert_id"]),
        kind=finding.kind,
        place_key=finding.place_key,
        started_at=parse_utc(state["started_at"]),
        last_found_at=parse_utc(state["last_found_at"]),
        finding=finding,
        phase_seq=int(state["phase_seq"]),
        unseen_s=float(state["unseen_s"]),
        since_sent_s=float(state["since_sent_s"]),
        sent_confidence=float(state["sent_confidence"]),
        sent_started_at=parse_utc(state["sent_started_at"]) if state["sent_started_at"] else None,
        sent_box=_box(state["sent_box"]) if state["sent_box"] else None,
    )


def _stamp(value: datetime) -> str:
    return value.isoformat()  # microseconds kept: a reload must not move a start


def _box(values: Iterable[float]) -> Box:
    x1, y1, x2, y2 = (float(value) for value in values)
    return (x1, y1, x2, y2)


def dump_finding(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON-able values."""
    return {
        "kind": finding.kind,
        "place_key": finding.place_key,
        "confirmed": finding.confirmed,
        "since": _stamp(finding.since),
        "confidence": finding.confidence,
        "boxes": [list(box) for box in finding.boxes],
        "zone": finding.zone,
        "measures": dict(finding.measures),
        "label": finding.label,
        "reason": finding.reason,
    }


def load_finding(state: Mapping[str, Any]) -> Finding:
    """Read back what :func:`dump_finding` wrote."""
    return Finding(
        kind=str(state["kind"]),
        place_key=str(state["place_key"]),
        confirmed=bool(state["confirmed"]),
        since=parse_utc(state["since"]),
        confidence=float(state["confidence"]),
        boxes=tuple(_box(box) for box in state["boxes"]),
        zone=state["zone"],
        measures=dict(state["measures"]),
        label=state.get("label"),
        reason=state.get("reason"),
    )
