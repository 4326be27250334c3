"""Times: aware UTC for people and records, monotonic seconds for durations."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current time as an aware UTC datetime."""
    return datetime.now(UTC)


def to_utc(value: datetime) -> datetime:
    """Convert an aware datetime to UTC; raise ValueError for a naive one."""
    if value.tzinfo is None:
        msg = f"time without a zone: {value.isoformat()}; append Z or an offset such as +08:00"
        raise ValueError(msg)
    return value.astimezone(UTC)


def iso_z(value: datetime) -> str:
    """Render an aware datetime as RFC 3339 in UTC with milliseconds and a ``Z``."""
    return to_utc(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_utc(text: str) -> datetime:
    """Parse RFC 3339 text with a zone into aware UTC; raise ValueError otherwise."""
    return to_utc(datetime.fromisoformat(text))
