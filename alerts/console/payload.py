"""What the incident page shows, as plain values: evidence with its boxes, facts, timeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from alerts import texts as shared
from alerts.console.formats import duration, local, measure, place
from alerts.console.texts import RULE_REASONS, Words
from alerts.correlate import REPORTS
from alerts.messages import EvidenceRole
from alerts.services.names import Names
from alerts.services.views import AlertView, BoxView, EvidenceView, IncidentView, TimelineView
from alerts.store.journal import SYSTEM

Pairs = list[tuple[str, str]]
# t0 beside now: the order in which an eye compares
_ORDER = (
    EvidenceRole.CONTEXT_T0,
    EvidenceRole.CONTEXT_NOW,
    EvidenceRole.CONTEXT_MID,
    EvidenceRole.CONTEXT_END,
    EvidenceRole.CLOSE_UP,
)
_VIDEO = "video/"


def evidence(alert: AlertView, words: Words, zone: tzinfo | None, *, may_judge: bool) -> dict[str, Any]:
    """Return pictures in order, clips, zones and boxes of one alert, for the evidence pane."""
    pictures = [item for item in alert.evidence if not item.media_type.startswith(_VIDEO)]
    pictures.sort(key=lambda item: (_ORDER.index(item.role), item.captured_at))
    clips = [item for item in alert.evidence if item.media_type.startswith(_VIDEO)]
    return {
        "alert_id": alert.id,
        "may_judge": may_judge,
        "pictures": [_item(item, words, zone) | _overlay(alert, item) for item in pictures],
        # a browser plays H.264 alone; central transcodes what is none when somebody looks
        "clips": [_item(item, words, zone) | {"url": f"{item.url}/play"} for item in clips],
        "zones": [alert.zone_points] if alert.zone_points else [],
    }


def _item(item: EvidenceView, words: Words, zone: tzinfo | None) -> dict[str, Any]:
    return {
        "key": f"{item.role}-{item.sha256}",
        "role": item.role,
        "name": words.name(shared.EVIDENCE_ROLES, item.role),
        "at": local(item.captured_at, zone)[5:],
        "url": item.url,
        "present": item.present,
    }


def _overlay(alert: AlertView, item: EvidenceView) -> dict[str, Any]:
    """Return the boxes that belong on a picture: those of its phase, else the newest; none on a close-up."""
    phase = next((phase for phase in alert.phases if phase.phase_seq == item.phase_seq and phase.boxes), None)
    boxes, seq = (phase.boxes, phase.phase_seq) if phase else (alert.boxes, alert.boxes_phase_seq)
    judged = {
        verdict.box_index: verdict.verdict
        for verdict in alert.verdicts
        if verdict.phase_seq == seq and verdict.box_index is not None
    }
    return {
        "overlay": item.role is not EvidenceRole.CLOSE_UP,
        "boxes_seq": seq,
        "boxes": [_box(box, judged.get(box.index)) for box in boxes],
    }


def _box(box: BoxView, verdict: str | None) -> dict[str, Any]:
    return box.model_dump() | {"verdict": verdict}


def facts(
    incident: IncidentView, alert: AlertView | None, words: Words, zone: tzinfo | None, now: datetime
) -> Pairs:
    """Return the table of details: place and time, what was measured, who measured it."""
    until = incident.ended_at or now
    lasted = duration((until - incident.started_at).total_seconds(), words)
    pairs = [(words("place"), place(incident.place, words))]
    if incident.edge != REPORTS:
        pairs.append((words("camera"), incident.camera_name or incident.camera))
        pairs.append((words("edge"), f"{incident.edge} · {incident.site}"))
    pairs += [
        (words("started"), local(incident.started_at, zone)),
        (words("duration"), lasted if incident.ended_at else f"{lasted} · {words('still')}"),
        (words("last_seen"), local(incident.last_seen_at, zone)),
    ]
    if incident.dismiss_reason:
        pairs.append((words("reason"), words.name(shared.DISMISS_REASONS, incident.dismiss_reason)))
    if alert is not None and alert.edge == REPORTS:
        pairs += [(words("reported_words"), alert.reason)] if alert.reason else []
    elif alert is not None:
        pairs += _alert_facts(alert, words)
    return pairs


def sights(incident: IncidentView) -> list[dict[str, Any]]:
    """Return where each camera has it by itself, for the map, where several were crossed."""
    seen = {(alert.edge, alert.camera): alert.place for alert in incident.alerts if alert.place}
    if len(seen) < 2:
        return []
    return [
        {
            "lat": where.lat_deg,
            "lon": where.lon_deg,
            "ellipse": [where.semi_major_m, where.semi_minor_m, where.orientation_deg],
        }
        for where in seen.values()
        if where.semi_major_m > 0
    ]


def _alert_facts(alert: AlertView, words: Words) -> Pairs:
    pairs: Pairs = []
    if alert.zone:
        pairs.append((words("zone"), alert.zone))
    if alert.preset != "fixed":
        pairs.append((words("preset"), alert.preset))
    if alert.place is not None and alert.place.bearing_deg is not None:
        pairs.append((words("bearing"), f"{alert.place.bearing_deg:.1f}°"))
    pairs += [measure(name, value, words) for name, value in alert.measures.items()]
    pairs.append((words("confidence"), f"{alert.confidence:.2f}"))
    if alert.reason:
        reasons = RULE_REASONS if alert.reason in RULE_REASONS else shared.BLIND_REASONS
        pairs.append((words("reason"), words.name(reasons, alert.reason)))
    pairs.append((words("rule"), alert.rule))
    if alert.model:
        precision = f" · {alert.precision}" if alert.precision else ""
        pairs.append((words("model"), alert.model + precision))
    return pairs


def warnings(incident: IncidentView, alert: AlertView | None, words: Words) -> list[str]:
    """Return what an operator should know before he believes the times."""
    found = []
    if incident.closure_proposed_at is not None:
        found.append(words("closure_proposed"))
    if incident.historical:
        found.append(words("historical_long"))
    if alert is not None and not alert.clock_synchronised:
        found.append(words("clock_bad"))
    if alert is not None and alert.lost:
        found.append(words("lost"))
    return found


def line(entry: TimelineView, words: Words, names: Names) -> str:
    """Return one line of the timeline: what, by whom, and why."""
    parts = [words.line(entry.action)]
    if entry.to_state is not None and entry.to_state != entry.from_state:
        parts[0] = f"{parts[0]} → {words.name(shared.STATES, entry.to_state)}"
    detail = entry.detail
    if verdict := detail.get("verdict"):
        parts.append(words.name(shared.VERDICTS, verdict))
    if detail.get("box_index") is not None:
        parts.append(f"{words('boxes')} {int(detail['box_index']) + 1}")
    if reason := detail.get("reason"):
        table = shared.DISMISS_REASONS if reason in shared.DISMISS_REASONS else shared.BLIND_REASONS
        parts.append(words.name(table, reason))
    parts += _handled(detail, words, names)
    if note := detail.get("note"):
        parts.append(f"“{note}”")
    return " · ".join(parts)


def _handled(detail: dict[str, Any], words: Words, names: Names) -> list[str]:
    """Return what a line says of departments, their limits, other incidents and the score."""
    numbers = [f"#{detail[key]}" for key in ("into", "from") if detail.get(key)]
    called = detail.get("departments") or ([detail["department"]] if detail.get("department") else [])
    departments = map(names.department, called)
    named: list[tuple[Mapping[Any, tuple[str, str]], Any]] = [
        (shared.STAGES, detail.get("stage")),
        (shared.SCORES, detail.get("score")),
    ]
    level = [words("level", level=detail["level"])] if detail.get("level") else []
    why = [str(detail[key]) for key in ("flow", "why") if detail.get(key)]
    return [*departments, *numbers, *(words.name(table, key) for table, key in named if key), *level, *why]


def actor(entry: TimelineView, words: Words, names: Names) -> str:
    """Return who did it."""
    return words("system") if entry.actor == SYSTEM else names.person(entry.actor)
