"""How long a camera was seeing, as a table of days and hours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, tzinfo

from alerts.console.formats import duration
from alerts.console.shell import attributes, el
from alerts.console.texts import CAMERA_STATES, Words
from alerts.services.views import HourView

MARKED = (0, 6, 12, 18)  # hours that are written above the table


def coverage_table(hours: Sequence[HourView], words: Words, zone: tzinfo | None) -> None:
    """Show days of the console's zone as rows, the newest first: hours by colour, the share in words."""
    days: dict[date, dict[int, HourView]] = defaultdict(dict)
    for hour in hours:
        start = hour.start.astimezone(zone)
        days[start.date()][start.hour] = hour
    with el("table", "tw-hours"):
        el("caption", "tw-dim", words("coverage_hint"))
        with el("thead"), el("tr"):
            el("td")
            for hour_of_day in range(24):
                attributes(el("th", text=str(hour_of_day) if hour_of_day in MARKED else ""), scope="col")
            el("td")
        with el("tbody"):
            for day in sorted(days, reverse=True):
                with el("tr"):
                    attributes(el("th", text=f"{day:%m-%d}"), scope="row")
                    for hour_of_day in range(24):
                        _cell(days[day].get(hour_of_day), f"{hour_of_day:02d}:00", words)
                    el("td", "tw-share", _percent(list(days[day].values())))


def _cell(hour: HourView | None, at: str, words: Words) -> None:
    cell = el("td")
    if hour is None or not _known_s(hour):
        return
    parts = (
        ("fresh", hour.seeing_s), ("night", hour.night_s), ("blind", hour.blind_s), ("offline", hour.away_s),
    )  # fmt: skip
    told = [f"{words.name(CAMERA_STATES, state)} {duration(spent, words)}" for state, spent in parts if spent]
    text = f"{at} {', '.join(told)}"
    attributes(cell, title=text, aria_label=text).classes("tw-known")
    by_light = _known_s(hour) - hour.night_s
    seen = hour.seeing_s / by_light if by_light else 0.0
    cell.style(f"--seen: {100 * seen:.0f}%; --night: {100 * hour.night_s / _known_s(hour):.0f}%")


def _known_s(hour: HourView) -> float:
    return hour.seeing_s + hour.night_s + hour.blind_s + hour.away_s


def _percent(hours: Sequence[HourView]) -> str:
    known_s = sum(_known_s(hour) for hour in hours)
    return f"{100 * sum(hour.seeing_s for hour in hours) / known_s:.1f} %" if known_s else ""
