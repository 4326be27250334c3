"""What is asked of a box, and whether the density benchmark has shown it: each figure beside its limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.report import Row

ENOUGH_LOOKS = 0.95  # below, a cost is that of fewer looks and shows nothing
FLOOR, COST = 0.015, 0.032  # CPU s a camera-second: so much at most where the floor is that
EVEN_FROM = 1.1  # stretched by more, a box must say so, and slow all cameras down alike
FLAT_FRAC = 0.02
FLAT_FROM_S = 300.0  # shorter runs say nothing about memory that grows
MANY = 60  # with fewer cameras, each bears more of what they share
MB_A_MIB = 2**20 / 1e6


def asked_of_box(row: Row) -> list[Row]:
    """Judge one run of a box; what it was too short or too small to show is left out."""
    found = [_judged(row, "worker restarts", row["restarts"], "<=", 0)]
    if row["cameras"] >= MANY:
        found.append(_judged(row, "resident MB a camera", row["rss_mib_per_camera"] * MB_A_MIB, "<=", 40.0))
    if (gap := row["mean_gap_intervals"] or 0.0) > EVEN_FROM:
        said = row["stretch"] / gap
        found += [
            _judged(row, "slowest camera over the median", row["slowest_over_median"], "<=", 1.3),
            _judged(row, "stretch said in health over the one seen", said, ">=", 0.8),
        ]
    else:
        found.append(_judged(row, "gap p95, intervals", row["gap_p95_intervals"], "<=", 1.25))
    if row["seconds"] >= FLAT_FROM_S:
        grown = row["rss_end_mib"] / row["rss_warm_mib"] - 1.0
        found.append(_judged(row, "memory grown since warm-up, share", grown, "<=", FLAT_FRAC))
    limit = 1.4 if row["streams"] == "quiet" else 2.2
    if row["looked_frac"] >= ENOUGH_LOOKS:
        found.append(_judged(row, "times the floor", row["ratio_to_floor"], "<=", limit))
        if row["streams"] != "quiet":
            cost = row["cpu_s_per_camera_s"] * FLOOR / row["floor_alone"]
            found.append(_judged(row, "CPU s a camera-second at a floor of 0.015", cost, "<=", COST))
    return found


def asked_of_peers(summary: Row) -> list[Row]:
    """Judge ratios to peers, of those that were there."""
    wanted = (("ratio_to_ultralytics", 60.0), ("ratio_to_script", 8.0))
    return [
        {"what": key, "got": summary[key], "asked": f">= {least:g}", "ok": summary[key] >= least}
        for key, least in wanted
        if summary.get(key)
    ]


_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda got, limit: got <= limit,
    ">=": lambda got, limit: got >= limit,
}


def _judged(row: Row, what: str, got: Any, relation: str, limit: float) -> Row:
    return {
        "streams": row["streams"],
        "vehicles": row["vehicles"],
        "cameras": row["cameras"],
        "what": what,
        "got": got,
        "asked": f"{relation} {limit:.4g}",
        "ok": got is not None and _HOLDS[relation](got, limit),
    }
