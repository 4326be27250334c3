"""Calendars for tests, and times that are short to write."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from towerwatch.calendars.calendar import Calendar

# works round the clock on every day, so that only the change of its clock is seen
BERLIN = Calendar("berlin", ZoneInfo("Europe/Berlin"), frozenset(range(7)), ((0, 1440),), {})


def utc(text: str) -> datetime:
    """Read ``2026-03-01T08:00`` as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def beijing(text: str) -> datetime:
    """Read ``2026-03-01T08:00`` as the clock in Beijing shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai"))
