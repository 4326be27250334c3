"""Statistics: how a period went, in figures, two charts and a table for each way to look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from html import escape
from urllib.parse import urlencode

from fastapi.responses import Response
from nicegui import Client
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts import texts as shared
from alerts.console.charts import day_chart, share_chart
from alerts.console.context import Visitor
from alerts.console.formats import duration
from alerts.console.shell import attributes, el, frame, html
from alerts.console.tables import NUMBER, Cell, plain, table_html
from alerts.console.texts import Words
from alerts.services.rights import Right
from alerts.services.statistics import MAX_PERIOD, Grouping, GroupView, Spread, StatisticsView
from alerts.services.statistics_table import HEADINGS, name_of
from alerts.texts import LANGUAGES
from towerwatch.timebase import utc_now

NONE = "\u2013"  # an en dash
PRESETS = (7, 30, 90, 365)
USUAL = 30
_SHOWN = 30  # rows of a table; the file has them all
_EMPTY: dict[Grouping, str] = {
    "kind": "nothing_counted",
    "area": "no_areas_counted",
    "department": "nobody_called",
    "camera": "nothing_counted",
}


@dataclass(frozen=True, slots=True)
class Period:
    """Local days, both of them counted; ``days`` is how many, where it ends today."""

    first: date
    last: date
    days: int | None = None

    @classmethod
    def parse(cls, values: Mapping[str, str], today: date) -> Period | None:
        """Read ``days``, or ``since`` and ``until``, from a query; None for what is no period."""
        if "since" not in values and "until" not in values:
            text = values.get("days", str(USUAL))
            days = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
            return cls(today - timedelta(days=days - 1), today, days) if 0 < days <= MAX_PERIOD.days else None
        try:
            first, last = (date.fromisoformat(values.get(key, "")) for key in ("since", "until"))
        except ValueError:
            return None
        return cls(first, last) if timedelta() <= last - first < MAX_PERIOD else None

    def bounds(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """Return when it begins and when it is over, in UTC."""
        begin = datetime.combine(self.first, time(), zone)
        return begin.astimezone(UTC), datetime.combine(
            self.last + timedelta(days=1), time(), zone
        ).astimezone(UTC)


async def statistics_page(visitor: Visitor, _client: Client, request: Request) -> Response | None:
    """``/statistics``: of what its visitor sees, of the last 30 days unless asked otherwise."""
    service, words = visitor.console.services.statistics, visitor.words
    today = utc_now().astimezone(service.zone).date()
    chosen = Period.parse(request.query_params, today)
    period = chosen or Period(today - timedelta(days=USUAL - 1), today, USUAL)
    since, until = period.bounds(service.zone)
    report = await run_in_threadpool(service.report, since, until, within=visitor.user.within)
    with frame(visitor, "statistics", words("statistics")), el("main", "tw-body"):
        _period_form(visitor, period, report)
        if chosen is None:
            attributes(el("p", "tw-warn", words("period_bad")), role="alert")
        html(_figures(report, words), "div")
        if report.total.incidents:
            _charts(report, words)
        for by in ("kind", "area", "department", "camera"):
            _table(visitor, report, by)
    return None


def _period_form(visitor: Visitor, period: Period, report: StatisticsView) -> None:
    words = visitor.words
    with attributes(el("form", "tw-bar"), method="get", action=f"{visitor.base}/statistics"):
        for days in PRESETS:
            chip = el("a", "tw-chip", words("period_days", days=days))
            attributes(chip, href=f"{visitor.base}/statistics?days={days}")
            attributes(chip, aria_current="true" if period.days == days else None)
        for name, label, day in (
            ("since", "period_from", period.first),
            ("until", "period_to", period.last),
        ):
            with el("label", "tw-field", words(label)):
                attributes(
                    el("input", "tw-input"), type="date", name=name, value=day.isoformat(), required=""
                )
        attributes(el("button", "tw-btn", words("period_show")), type="submit")
        if Right.ADMIN in visitor.user.rights:
            when = urlencode({"since": report.since.isoformat(), "until": report.until.isoformat()})
            link = el("a", "tw-link", words("download_verdicts"))
            attributes(link, href=f"{visitor.base}/api/v1/verdicts.zip?{when}", download="")


def _figures(report: StatisticsView, words: Words) -> str:
    """Return the figures that a shift leader asks for first."""
    total = report.total
    judged = total.confirmed + total.refuted
    figures = [
        (words("incidents"), str(total.incidents), words("still_open", count=total.open)),
        (words("false_share"), percent(total.false_share), words("of_judged", count=judged)),
        (words("on_time"), percent(total.on_time_share), words("of_tasks", count=total.due)),
    ]
    for key, spread in (
        ("verify_time", total.to_verify),
        ("arrive_time", total.to_arrive),
        ("close_time", total.to_close),
    ):
        p90 = words("p90_within", time=duration(spread.p90_s, words)) if spread.p90_s is not None else ""
        figures.append((words(key), took(spread.median_s, words), p90))
    cells = "".join(
        f'<div class="tw-panel"><dt>{escape(name)}</dt>'
        f"<dd><b>{escape(value)}</b><span>{escape(more)}</span></dd></div>"
        for name, value, more in figures
    )
    return f'<dl class="tw-figures">{cells}</dl>'


def _charts(report: StatisticsView, words: Words) -> None:
    with el("div", "tw-charts"):
        with el("section", "tw-panel"):
            el("h2", text=words("by_day"))
            day_chart(report.days, words)
        if report.reasons:
            with el("section", "tw-panel"):
                el("h2", text=words("by_reason"))
                names = [words.name(shared.DISMISS_REASONS, item.reason) for item in report.reasons]
                share_chart(names, [item.count for item in report.reasons])


def _table(visitor: Visitor, report: StatisticsView, by: Grouping) -> None:
    words, groups = visitor.words, report.grouped(by)
    query = {
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "by": by,
        "language": words.language,
    }
    with el("section", "tw-panel"):
        with el("div", "tw-panel-head"):
            el("h2", text=words(f"by_{by}"))
            if len(groups) > _SHOWN:
                el("span", "tw-dim", words("shown_of", shown=_SHOWN, count=len(groups)))
            if groups:
                link = el("a", "tw-link", words("download_csv"))
                attributes(link, href=f"{visitor.base}/api/v1/statistics.csv?{urlencode(query)}", download="")
        rows = [_row(visitor, group, by) for group in groups[:_SHOWN]]
        html(table_html(_heads(words, by), rows, words(_EMPTY[by])), "div")


def _heads(words: Words, by: Grouping) -> list[tuple[str, str]]:
    spread = words("median_p90")
    keys = ["incidents", "open", "confirmed", "refuted", "false_share", "verify_time"]
    if by == "department":  # these judge and verify nothing
        keys = keys[:2]
    times = {key: f"{words(key)} ({spread})" for key in ("verify_time", "arrive_time", "close_time")}
    names = [times.get(key) or words(key) for key in (*keys, "arrive_time", "close_time", "on_time")]
    return [(HEADINGS[by][LANGUAGES.index(words.language)], ""), *((name, NUMBER) for name in names)]


def _row(visitor: Visitor, group: GroupView, by: Grouping) -> list[Cell]:
    words = visitor.words
    figures = [str(group.incidents), str(group.open)]
    if by != "department":
        figures += [str(group.confirmed), str(group.refuted), percent(group.false_share)]
        figures.append(_both(group.to_verify, words))
    figures += [_both(group.to_arrive, words), _both(group.to_close, words), percent(group.on_time_share)]
    name = name_of(group, by, visitor.names, words.language)
    return [plain(name), *(plain(figure, NUMBER) for figure in figures)]


def _both(spread: Spread, words: Words) -> str:
    return f"{took(spread.median_s, words)} / {took(spread.p90_s, words)}" if spread.count else NONE


def took(seconds: float | None, words: Words) -> str:
    """Return a duration, or a dash where there is none."""
    return NONE if seconds is None else duration(seconds, words)


def percent(share: float | None) -> str:
    """Return ``12 %``, or a dash where nothing was judged or due."""
    return NONE if share is None else f"{100 * share:.0f} %"
