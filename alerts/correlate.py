"""Which alerts are one incident: a policy per kind, as functions over values.

Two alerts are the same incident when they touch in time (nothing may be silent between them for longer
than the policy's gap) and are the same place. The same place is the same *key*; smoke, which several towers
see, is also the same place when two error ellipses meet. What a person reports is no place of a camera: it is
the same as whatever of its kind, and item, is near.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.crossing import apart_m
from alerts.messages import Kind
from towerwatch.geometry.ellipse import Ellipse

# 95 % ellipses of two towers need not touch for one plume: it drifts between two looks of a patrol
SMOKE_MARGIN_M = 200.0
# people stand beside what they report, a street's width or two from where the next one does
REPORT_MARGIN_M = 50.0
REPORTS = "reports"  # site, box and camera of what people report


@dataclass(frozen=True, slots=True)
class Facts:
    """One alert, as correlation sees it; ``ended_at`` is None while it lasts."""

    kind: Kind
    edge: str
    camera: str
    preset: str
    zone: str | None
    place_key: str
    started_at: datetime
    ended_at: datetime | None
    ellipse: Ellipse | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How alerts of one kind become incidents.

    Attributes:
        key: the name of the place; equal keys are the same place.
        gap_s: seconds that may lie between the end of one alert and the start of the next.
        near: joins places with different keys; None where only the key counts.

    """

    key: Callable[[Facts], str]
    gap_s: float
    near: Callable[[Facts, Facts], bool] | None = None


def _spot(facts: Facts) -> str:
    return f"{facts.edge}/{facts.camera}/{facts.preset}/{facts.place_key}"


def _segment(facts: Facts) -> str:
    return f"{facts.edge}/{facts.camera}/{facts.preset}/{facts.zone or facts.place_key}"


def _camera(facts: Facts) -> str:
    return f"{facts.edge}/{facts.camera}"


def _edge(facts: Facts) -> str:
    return facts.edge


def ellipses_meet(one: Facts, other: Facts) -> bool:
    """Say whether two error ellipses touch, with :data:`SMOKE_MARGIN_M` between them."""
    if one.ellipse is None or other.ellipse is None:
        return False
    return apart_m(one.ellipse, other.ellipse) <= SMOKE_MARGIN_M


def reports_meet(one: Facts, other: Facts) -> bool:
    """Say whether a report is near to another of its item, or to what a camera placed."""
    if one.ellipse is None or other.ellipse is None:
        return False
    if one.edge == other.edge and one.zone != other.zone:
        return False
    return apart_m(one.ellipse, other.ellipse) <= REPORT_MARGIN_M


def _report(facts: Facts) -> str:
    return f"{facts.edge}/{facts.place_key}"


# a second person who passes by two hours later means the same; then it is worth a look of its own
REPORT_POLICY = Policy(_report, gap_s=2 * 3600, near=reports_meet)
# parking: a car that leaves and the next that takes its place are minutes apart in the alerts, since the
# next must dwell again; 10 s only bridge a box that was restarted between two messages
POLICIES: dict[Kind, Policy] = {
    Kind.SMOKE: Policy(_spot, gap_s=30 * 60, near=ellipses_meet),
    Kind.ILLEGAL_PARKING: Policy(_spot, gap_s=10),
    Kind.STOPPED_VEHICLE: Policy(_spot, gap_s=10),
    Kind.BLOCKED_ROAD: Policy(_segment, gap_s=10 * 60),
    Kind.CAMERA_BLIND: Policy(_camera, gap_s=10 * 60),
    Kind.EDGE_SILENT: Policy(_edge, gap_s=10 * 60),
    Kind.REPORTED: REPORT_POLICY,
}


def policy_of(facts: Facts) -> Policy:
    """Return how an alert becomes an incident: by its kind, unless a person reported it."""
    return REPORT_POLICY if facts.edge == REPORTS else POLICIES[facts.kind]


def key_of(facts: Facts) -> str:
    """Return the name of the place that an alert is about."""
    return policy_of(facts).key(facts)


def touch_in_time(one: Facts, other: Facts, gap_s: float) -> bool:
    """Say whether two alerts overlap, or follow each other within ``gap_s`` seconds."""
    gap = timedelta(seconds=gap_s)
    before = one.ended_at is None or other.started_at <= one.ended_at + gap
    after = other.ended_at is None or one.started_at <= other.ended_at + gap
    return before and after


def same_incident(one: Facts, other: Facts) -> bool:
    """Say whether an alert is about one thing with another, which was there before."""
    if one.kind is not other.kind:
        return False
    policy = policy_of(one)
    if not touch_in_time(one, other, policy.gap_s):
        return False
    same_place = policy.key(one) == policy.key(other)
    return same_place or (policy.near is not None and policy.near(one, other))
