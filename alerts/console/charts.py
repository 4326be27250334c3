"""Charts: few colours, those of the page, and no more ink than the figures need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from alerts.console.texts import Words
from alerts.services.statistics import DayView


def _css(name: str) -> str:
    """Return JavaScript that reads a colour of the page, light or dark."""
    return f"getComputedStyle(document.body).getPropertyValue('--tw-{name}').trim()"


def day_chart(days: Sequence[DayView], words: Words) -> ui.echart:
    """Draw how many incidents began on each day, by what became of them."""
    series = [
        _bar(words("confirmed"), [day.confirmed for day in days], "accent", stack="all"),
        _bar(words("refuted"), [day.refuted for day in days], "sev-3", stack="all"),
        _bar(words("others"), [day.others for day in days], "grid", stack="all"),
    ]
    labels = [f"{day.day:%m-%d}" for day in days]
    options = _frame(series) | {
        "legend": {"top": 0, "left": 0, "itemWidth": 12, "itemHeight": 12, "textStyle": _text()},
        "grid": {"left": 8, "right": 12, "top": 34, "bottom": 4, "containLabel": True},
        "xAxis": {"type": "category", "data": labels, "axisTick": {"show": False}, **_axis(lines=False)},
        "yAxis": {"type": "value", "minInterval": 1, **_axis(lines=True)},
    }
    return _chart(options)


def share_chart(names: Sequence[str], counts: Sequence[int]) -> ui.echart:
    """Draw counts by name, the largest on top."""
    series = [
        _bar("", list(counts)[::-1], "accent") | {"label": {"show": True, "position": "right", **_text()}}
    ]
    options = _frame(series) | {
        "grid": {"left": 8, "right": 44, "top": 4, "bottom": 4, "containLabel": True},
        "xAxis": {"type": "value", "show": False},
        "yAxis": {
            "type": "category",
            "data": list(names)[::-1],
            "axisTick": {"show": False},
            **_axis(lines=False),
        },
    }
    return _chart(options)


def _chart(options: dict[str, Any]) -> ui.echart:
    chart = ui.echart(options, renderer="svg")
    chart.classes("tw-chart")
    return chart


def _frame(series: list[dict[str, Any]]) -> dict[str, Any]:
    tooltip = {
        "trigger": "axis",
        "axisPointer": {"type": "shadow"},
        "confine": True,
        ":backgroundColor": _css("panel"),
        ":borderColor": _css("line"),
        "textStyle": {"fontSize": 13, ":color": _css("text")},
    }
    return {"animation": False, "aria": {"enabled": True}, "tooltip": tooltip, "series": series}


def _bar(name: str, data: list[int], colour: str, **more: Any) -> dict[str, Any]:
    style = {":color": _css(colour)}
    return {"type": "bar", "name": name, "data": data, "barMaxWidth": 22, "itemStyle": style, **more}


def _text() -> dict[str, Any]:
    return {":color": _css("dim"), "fontSize": 12}


def _axis(*, lines: bool) -> dict[str, Any]:
    split = {"show": lines, "lineStyle": {":color": _css("soft")}}
    line = {"show": not lines, "lineStyle": {":color": _css("line")}}
    return {"axisLabel": _text(), "splitLine": split, "axisLine": line}
