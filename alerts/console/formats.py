"""Times, durations, places and measures as people read them."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from alerts.console.texts import MEASURES, Words

if TYPE_CHECKING:
    from alerts.services.views import PlaceView


# by the ending of a name, in Chinese and English; the longer ending comes first
_UNITS = {
    "_bl_s": ("体长/秒", "body lengths/s"),
    "_kmh": ("km/h", "km/h"),
    "_m_s": ("m/s", "m/s"),
    "_per_min": ("/min", "/min"),
    "_px": ("px", "px"),
    "_deg": ("°", "°"),
    "_m": ("m", "m"),
    "_bl": ("体长", "body lengths"),
}


def zone_of(name: str | None) -> tzinfo | None:
    """Return the time zone of the console; None is the zone of the machine."""
    return ZoneInfo(name) if name else None


def local(at: datetime, zone: tzinfo | None) -> str:
    """Return ``2026-11-24 13:05:09`` in the console's zone."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float, words: Words) -> str:
    """Return ``47 s``, ``12 min 05 s`` or ``3 h 20 min`` (``秒``, ``分``, ``小时`` in Chinese)."""
    whole = max(0, round(seconds))
    hour, minute, second = (" 小时", " 分", " 秒") if words.language == "zh" else (" h", " min", " s")
    if whole < 60:
        return f"{whole}{second}"
    if whole < 3600:
        return f"{whole // 60}{minute} {whole % 60:02d}{second}"
    return f"{whole // 3600}{hour} {whole % 3600 // 60:02d}{minute}"


def measure(name: str, value: float, words: Words) -> tuple[str, str]:
    """Return name and value with unit of something a rule measured; the ending of the name is the unit."""
    label = words.name(MEASURES, name)
    for ending, units in _UNITS.items():
        if name.endswith(ending):
            return _plain(label, ending), f"{value:.4g} {units[words.language == 'en']}"
    if name.endswith("_frac"):
        return _plain(label, "_frac"), f"{100 * value:.0f} %"
    if name.endswith("_s"):
        return _plain(label, "_s"), duration(value, words)
    return _plain(label, ""), f"{value:.4g}"


def _plain(label: str, ending: str) -> str:
    return label.removesuffix(ending).replace("_", " ") if ending else label.replace("_", " ")


def place(where: PlaceView | None, words: Words) -> str:
    """Return degrees (WGS 84) and how sure they are."""
    if where is None:
        return words("place_unknown")
    text = f"{where.lat_deg:.5f}, {where.lon_deg:.5f}"
    if where.semi_major_m:
        within = words("within", major=f"{where.semi_major_m:.0f}", minor=f"{where.semi_minor_m:.0f}")
        return f"{text} {within}"
    return f"{text} · {words('place_camera')}"


def size(count: float) -> str:
    """Return bytes as KiB, MiB or GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit in {"B", "KiB"} else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError
