"""From a comparison to figures: one row for each kind and condition, each with a 95 % interval.

Shares have Wilson's interval (JASA 1927), counts over time Byar's approximation of the exact Poisson
interval (Breslow and Day, IARC 82, 1987), means and root mean squares a bootstrap of 1,000 resamples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.score import Judged, JudgedAlert, JudgedEvent, Verdict

ALL = "all"
Z95 = 1.959964
RESAMPLES = 1000
DAY_S = 86_400.0
Statistic = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
"""From samples, shape (..., n), to one value each, shape (...)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def share_of(part: int, whole: int) -> Estimate | None:
    """Return a share with Wilson's interval; None of nothing."""
    if whole == 0:
        return None
    p, z2 = part / whole, Z95 * Z95
    middle = (p + z2 / (2 * whole)) / (1 + z2 / whole)
    half = Z95 / (1 + z2 / whole) * math.sqrt(p * (1 - p) / whole + z2 / (4 * whole * whole))
    return Estimate(p, max(middle - half, 0.0), min(middle + half, 1.0))


def rate_of(count: int, days: float) -> Estimate | None:
    """Return a count per day with Byar's interval; None where no time was watched."""
    if days <= 0:
        return None
    low = 0.0
    if count:
        low = count * (1 - 1 / (9 * count) - Z95 / (3 * math.sqrt(count))) ** 3
    above = count + 1
    high = above * (1 - 1 / (9 * above) + Z95 / (3 * math.sqrt(above))) ** 3
    return Estimate(count / days, max(low, 0.0) / days, high / days)


def _mean(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(samples.mean(axis=-1))


def _rms(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.sqrt((samples**2).mean(axis=-1)))


def _p90(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.quantile(samples, 0.9, axis=-1))


def bootstrap(values: Sequence[float], statistic: Statistic) -> Estimate | None:
    """Return a statistic of values with its percentile interval; None of nothing. Repeatable."""
    if not values:
        return None
    samples = np.asarray(values, np.float64)
    rng = np.random.default_rng(0)
    drawn = statistic(samples[rng.integers(0, len(samples), (RESAMPLES, len(samples)))])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(statistic(samples)), float(low), float(high))


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The figures of one kind under one condition (``all``: over all of them).

    ``false_alerts`` holds the repeated ones too; both shares and ``f1`` count them as false.
    ``delay_s_mean`` over the detected events, from when they were due; ``start_rmse_s`` root mean
    square of the error of the start; ``position_error_m_p90`` where positions are known.
    """

    kind: str
    condition: str
    events: int
    detected: int
    alerts: int
    false_alerts: int
    repeated_alerts: int
    camera_days: float
    false_causes: dict[str, int]
    f1: float | None
    detected_frac: Estimate | None
    false_share: Estimate | None
    false_alerts_per_camera_day: Estimate | None
    delay_s_mean: Estimate | None
    start_rmse_s: Estimate | None
    position_error_m_p90: Estimate | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values: each estimate as ``name`` and ``name_95`` (low, high)."""
        values: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            values[one.name] = _plain(value)
            if isinstance(value, Estimate):
                values[f"{one.name}_95"] = [_plain(value.low), _plain(value.high)]
        return values


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        value = value.value
    return round(value, 4) if isinstance(value, float) else value


def row_of(kind: str, condition: str, judged: Judged) -> ScoreRow:
    """Return the figures of one kind under one condition."""
    events = [one for one in judged.events if one.event.kind == kind and _under(one, condition)]
    alerts = [
        one
        for one in judged.alerts
        if one.alert.kind == kind and one.verdict is not Verdict.NOT_JUDGED and _under(one, condition)
    ]
    seen = [one for one in events if one.alert is not None]
    false = [one for one in alerts if one.verdict is not Verdict.TRUE]
    watched_s = sum(s for name, s in judged.watched_s.items() if condition in {ALL, name})
    counted = 2 * len(seen) + len(false) + len(events) - len(seen)
    away_m = [one.position_error_m for one in seen if one.position_error_m is not None]
    return ScoreRow(
        kind=kind,
        condition=condition,
        events=len(events),
        detected=len(seen),
        alerts=len(alerts),
        false_alerts=len(false),
        repeated_alerts=sum(one.verdict is Verdict.REPEATED for one in false),
        camera_days=watched_s / DAY_S,
        false_causes=dict(Counter(one.cause for one in false).most_common()),
        f1=2 * len(seen) / counted if counted else None,
        detected_frac=share_of(len(seen), len(events)),
        false_share=share_of(len(false), len(alerts)),
        false_alerts_per_camera_day=rate_of(len(false), watched_s / DAY_S),
        delay_s_mean=bootstrap([one.delay_s for one in seen if one.delay_s is not None], _mean),
        start_rmse_s=bootstrap([one.start_error_s for one in seen if one.start_error_s is not None], _rms),
        position_error_m_p90=bootstrap(away_m, _p90),
    )


def _under(one: JudgedEvent | JudgedAlert, condition: str) -> bool:
    return condition in {ALL, one.condition}


def rows_of(judged: Judged) -> tuple[ScoreRow, ...]:
    """Return all rows: each kind over all conditions first, then by condition where there are several."""
    kinds = sorted({one.event.kind for one in judged.events} | {one.alert.kind for one in judged.alerts})
    conditions = sorted(judged.watched_s)
    split = conditions if len(conditions) > 1 else []
    return tuple(row_of(kind, condition, judged) for kind in kinds for condition in (ALL, *split))
