"""Notifications to people in their own channel, by Apprise: WeCom, DingTalk, Feishu, e-mail and others."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import apprise

from alerts import texts
from alerts.areas.service import AreaService, DutyView
from alerts.config import NotifySettings
from alerts.outbox import Owed, Sender
from alerts.store.database import Database
from alerts.texts import Language
from towerwatch.errors import ConfigError
from towerwatch.timebase import parse_utc

EVENTS: dict[str, tuple[str, str]] = {
    "incident.created": ("新事件", "New incident"),
    "incident.filed": ("已立案", "Filed"),
    "incident.dismissed": ("已排除", "Dismissed"),
    "incident.to_check": ("待核查", "To check"),
    "incident.closed": ("已结案", "Closed"),
    "incident.reopened": ("重新打开", "Reopened"),
    "task.assigned": ("新任务", "New task"),
    "task.declined": ("已退单", "Task declined"),
    "task.reminder": ("即将超时", "Due soon"),
    "task.overdue": ("已超时", "Overdue"),
}
_LABELS: dict[str, tuple[str, str]] = {
    "camera": ("摄像机", "Camera"),
    "started": ("开始", "Started"),
    "place": ("位置", "Place"),
    "department": ("部门", "Department"),
    "due": ("时限", "Due"),
    "level": ("督办级别", "Level"),
    "note": ("说明", "Note"),
    "reporter": ("上报人", "Reported by"),
    "duty": ("值班", "On duty"),
}


class PeopleSender(Sender):
    """Writes to one channel what it is owed, and who is on duty for it."""

    def __init__(
        self, database: Database, settings: NotifySettings, areas: AreaService, timezone: str | None = None
    ) -> None:
        """Keep database, rosters and channel; raise ConfigError for an address that Apprise does not know."""
        super().__init__(
            database, settings.name, timeout_s=settings.timeout_s, give_up_after_h=settings.give_up_after_h
        )
        self._language: Language = "en" if settings.language == "en" else "zh"
        self._areas = areas
        self._zone = ZoneInfo(timezone) if timezone else None
        # Apprise logs addresses, which are keys: what went wrong is noted with the delivery instead
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        self._channel = apprise.Apprise()
        url = settings.url.reveal()
        limits = f"cto={settings.timeout_s}&rto={settings.timeout_s}"
        if not self._channel.add(f"{url}{'&' if '?' in url else '?'}{limits}"):
            msg = f"notify {settings.name}: url is no address that Apprise knows; see its list of services"
            raise ConfigError(msg)

    def _send(self, owed: Owed) -> str | None:
        document = json.loads(owed.body)
        department = document["task"]["department"] if "task" in document else None
        duty = self._areas.on_duty_for(document["incident"]["id"], parse_utc(document["at"]), department)
        title, text = compose(document, self._language, self._zone, duty)
        return None if self._channel.notify(body=text, title=title) else "the channel did not take it"


def compose(
    document: dict[str, Any], language: Language, zone: ZoneInfo | None, duty: Sequence[DutyView] = ()
) -> tuple[str, str]:
    """Return title and text of a message for people; times in ``zone``, or this machine's."""
    incident, task = document["incident"], document.get("task")

    def local(at: str) -> str:
        return f"{parse_utc(at).astimezone(zone):%Y-%m-%d %H:%M}"

    kind = texts.text(texts.KINDS, incident["kind"], language)
    what = texts.text(EVENTS, document["event"], language)
    title = f"{what}: {kind} #{incident['id']}"
    position = incident.get("position")
    values = {
        "department": task and task["department"],
        "due": task and task["due_at"] and local(task["due_at"]),
        "level": task and task["level"],
        "note": task and task["note"],
        "camera": f"{incident['camera']} · {incident['zone']}" if incident["zone"] else incident["camera"],
        "started": local(incident["started_at"]),
        "place": position and f"{position['lat_deg']:.5f}, {position['lon_deg']:.5f}",
        "reporter": ", ".join(incident.get("reported_by", ())),
        "duty": ", ".join(f"{one.person} ({one.contact})" for one in duty),
    }
    lines = [f"{texts.text(_LABELS, key, language)}: {value}" for key, value in values.items() if value]
    if task and task["stage"]:
        lines.insert(0, texts.text(texts.STAGES, task["stage"], language))
    return title, "\n".join(lines)
