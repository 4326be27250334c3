"""Alerts against truth: which events were seen and when, and which alerts nobody needed.

An alert belongs to an event of its kind, camera and place (zone, and the overlap of the boxes) if it
was opened between the event's start and a little after its end, and names a start that is no more
than ``slack_s`` before the true one. Each event takes one alert, the one that was opened first; each
further one is *repeated*, and as false to an operator as an alert about nothing.

When an event begins is the moment at which the anomaly itself begins, as in AI City's track of
traffic anomalies: the standstill of a parked car; for a blocked road the moment when the first
vehicle stands that does not move on (not when the queue is long enough to tell); the ignition for
smoke. Delay counts from the start; for parking from the end of the legal time. A road that is free
again, or whose scene ends, before a rule may call it blocked is asked of nobody.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from edge.observe import Box
from edge.shapes import iou, overlap_of_smaller
from streams.simulator.truth import SceneTruth, TruthEvent
from towerwatch.timebase import parse_utc

EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG
PARKING, BLOCKED_ROAD = "illegal_parking", "blocked_road"
LEAST_IOU = {PARKING: 0.3, "stopped_vehicle": 0.3}
LEAST_SMOKE_OVERLAP = 0.3  # of the smaller box: the truth is the plume at its largest


@dataclass(frozen=True, slots=True)
class ScoreTerms:
    """What the comparison goes by.

    Attributes:
        legal_s: seconds for which parking is tolerated; a shorter stay is none.
        blocked_s: seconds without discharge from which a road may be called blocked; one that is free
            again sooner is not judged, nor are its alerts.
        slack_s: seconds by which a start may be early, and an alert late after the end. An event that
            is due later than this before the end of the scene is not judged, nor are its alerts.

    """

    legal_s: float = 300.0
    blocked_s: float = 120.0
    slack_s: float = 60.0


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """One alert as its messages told it; ``started_at`` and the boxes from the first of them."""

    alert_id: str
    kind: str
    camera: str
    zone: str | None
    opened_at: datetime
    started_at: datetime
    boxes: tuple[Box, ...] = ()
    lat_lon_deg: tuple[float, float] | None = None


class Verdict(StrEnum):
    """What an alert was worth."""

    TRUE = "true"
    FALSE = "false"
    REPEATED = "repeated"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True)
class JudgedEvent:
    """One event that had to be reported.

    ``alert`` None: missed. ``delay_s`` from when it was due; ``start_error_s`` positive where the
    alert's start is late; ``position_error_m`` on the ground, None without both positions.
    """

    event: TruthEvent
    camera: str
    condition: str
    alert: AlertRecord | None = None
    delay_s: float | None = None
    start_error_s: float | None = None
    position_error_m: float | None = None


@dataclass(frozen=True, slots=True)
class JudgedAlert:
    """One alert; ``cause`` of a false one is the kind of the silent event there, or ``nothing``."""

    alert: AlertRecord
    condition: str
    verdict: Verdict
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """All that was compared.

    ``watched_s``: seconds of scene by condition; ``silent``: how many events of each kind there were
    that no rule ought to report.
    """

    events: tuple[JudgedEvent, ...] = ()
    alerts: tuple[JudgedAlert, ...] = ()
    watched_s: dict[str, float] = field(default_factory=dict)
    silent: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Judged) -> Judged:
        """Put two comparisons together."""
        watched_s = dict(self.watched_s)
        for condition, seconds in other.watched_s.items():
            watched_s[condition] = watched_s.get(condition, 0.0) + seconds
        silent = self.silent + other.silent
        return Judged(self.events + other.events, self.alerts + other.alerts, watched_s, silent)


@dataclass(slots=True)
class _Comparison:
    """One scene; times in seconds from its first picture."""

    truth: SceneTruth
    terms: ScoreTerms
    start: datetime

    def at_s(self, when: datetime) -> float:
        return (when - self.start).total_seconds()

    def due_s(self, event: TruthEvent) -> float:
        return event.started_s + (self.terms.legal_s if event.kind == PARKING else 0.0)

    def is_due(self, event: TruthEvent) -> bool:
        return event.alarm and (event.ended_s is None or event.ended_s > self.due_s(event))

    def is_judged(self, event: TruthEvent) -> bool:
        waits_s = self.terms.blocked_s if event.kind == BLOCKED_ROAD else 0.0
        told_s = self.due_s(event) + waits_s  # not before
        lasts = event.ended_s is None or event.ended_s >= event.started_s + waits_s
        return lasts and told_s + self.terms.slack_s <= self.truth.seconds

    def fits(self, alert: AlertRecord, event: TruthEvent) -> bool:
        """Whether the alert is about this event: place and time, whatever the kind of the event."""
        end_s = self.truth.seconds if event.ended_s is None else event.ended_s
        opened_s, started_s = self.at_s(alert.opened_at), self.at_s(alert.started_at)
        slack_s = self.terms.slack_s
        in_time = event.started_s <= opened_s <= end_s + slack_s and started_s >= event.started_s - slack_s
        same_zone = alert.zone is None or event.zone is None or alert.zone == event.zone
        return in_time and same_zone and _same_place(alert, event)

    def run(self, alerts: Sequence[AlertRecord]) -> Judged:
        ordered = sorted(alerts, key=lambda one: (one.opened_at, one.alert_id))
        wanted = [event for event in self.truth.events if self.is_due(event)]
        taken: dict[int, AlertRecord] = {}
        judged = [self._judge(alert, wanted, taken) for alert in ordered]
        events = [
            self._event(event, taken.get(index))
            for index, event in enumerate(wanted)
            if self.is_judged(event)
        ]
        silent = Counter(event.kind for event in self.truth.events if not self.is_due(event))
        return Judged(tuple(events), tuple(judged), {self.truth.condition: self.truth.seconds}, silent)

    def _judge(
        self, alert: AlertRecord, wanted: Sequence[TruthEvent], taken: dict[int, AlertRecord]
    ) -> JudgedAlert:
        fitting = [
            index
            for index, event in enumerate(wanted)
            if event.kind == alert.kind and self.fits(alert, event)
        ]
        free = [index for index in fitting if index not in taken]
        condition = self.truth.condition
        if free:
            started_s = self.at_s(alert.started_at)
            best = min(free, key=lambda index: abs(wanted[index].started_s - started_s))
            taken[best] = alert
            verdict = Verdict.TRUE if self.is_judged(wanted[best]) else Verdict.NOT_JUDGED
            return JudgedAlert(alert, condition, verdict)
        if fitting:
            return JudgedAlert(alert, condition, Verdict.REPEATED, alert.kind)
        causes = [event.kind for event in self.truth.events if self.fits(alert, event)]
        return JudgedAlert(alert, condition, Verdict.FALSE, causes[0] if causes else "nothing")

    def _event(self, event: TruthEvent, alert: AlertRecord | None) -> JudgedEvent:
        camera, condition = self.truth.camera_id, self.truth.condition
        if alert is None:
            return JudgedEvent(event, camera, condition)
        away_m = None
        if alert.lat_lon_deg is not None and event.lat_lon_deg is not None:
            away_m = distance_m(alert.lat_lon_deg, event.lat_lon_deg)
        return JudgedEvent(
            event,
            camera,
            condition,
            alert,
            delay_s=self.at_s(alert.opened_at) - self.due_s(event),
            start_error_s=self.at_s(alert.started_at) - event.started_s,
            position_error_m=away_m,
        )


def _same_place(alert: AlertRecord, event: TruthEvent) -> bool:
    if not alert.boxes or alert.kind not in {*LEAST_IOU, "smoke"}:
        return True
    box = alert.boxes[0]
    if alert.kind == "smoke":
        return overlap_of_smaller(box, event.box) >= LEAST_SMOKE_OVERLAP
    return iou(box, event.box) >= LEAST_IOU[alert.kind]


def judge(truth: SceneTruth, alerts: Iterable[AlertRecord], terms: ScoreTerms | None = None) -> Judged:
    """Compare the alerts of one camera with the truth of its scene."""
    start = parse_utc(truth.start_at)
    return _Comparison(truth, terms or ScoreTerms(), start).run(list(alerts))


def judge_all(
    truths: Iterable[SceneTruth], alerts: Sequence[AlertRecord], terms: ScoreTerms | None = None
) -> Judged:
    """Compare scenes with the alerts of their cameras; a scene without ``camera_id`` takes all alerts.

    Several scenes of one camera are told apart by time; alerts outside every scene are left out.
    """
    terms = terms or ScoreTerms()
    total = Judged()
    for truth in truths:
        start = parse_utc(truth.start_at)
        end = start + timedelta(seconds=truth.seconds + terms.slack_s)
        own = [
            alert
            for alert in alerts
            if truth.camera_id in {"", alert.camera} and start <= alert.opened_at <= end
        ]
        total += judge(truth, own, terms)
    return total


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the great-circle distance of two places (latitude, longitude in degrees, WGS 84) in metres."""
    lat_a, lon_a, lat_b, lon_b = (math.radians(value) for value in (*a, *b))
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(half, 1.0)))
