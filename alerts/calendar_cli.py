"""``towerwatch central calendar``: fill a year of a calendar, and show what it says."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from towerwatch.calendars.calendar import CalendarFile

app = typer.Typer(no_args_is_help=True, help="When people work: holidays and shifted workdays, as data.")

NameArgument = Annotated[str, typer.Argument(help="Name of one that we ship, or a YAML file.")]


@app.command()
def fill(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A calendar's YAML file.")],
    years: Annotated[list[int], typer.Argument(min=1970, max=2200, help="Years to fill, anew if need be.")],
) -> None:
    """Write the days off and the shifted workdays of some years into a calendar's file."""
    from towerwatch.calendars import fill as filling  # noqa: PLC0415 - help must not load it

    filled = filling.fill(file, years)
    for year in years:
        _say_year(filled, year)


@app.command()
def show(name: NameArgument = "china") -> None:
    """Print a calendar's hours, and for each year how many days it shifts, and by whose word."""
    from towerwatch.calendars.calendar import CalendarFile, calendar_path  # noqa: PLC0415
    from towerwatch.yamlconfig import load_yaml  # noqa: PLC0415

    calendar = load_yaml(calendar_path(name), CalendarFile)
    typer.echo(
        f"{calendar.name}: {' '.join(calendar.week)}, {' '.join(calendar.hours)}, {calendar.time_zone}"
    )
    for year in calendar.years:
        _say_year(calendar, year)


@app.command()
def due(
    start: Annotated[datetime, typer.Argument(help="Local time of the calendar: 2026-12-31T16:30:00.")],
    limit: Annotated[
        str, typer.Argument(help="30 min, 4 h, 2 d, 4 wh (working hours), 1 wd (working days).")
    ],
    name: Annotated[
        str, typer.Option("--calendar", help="Name of one that we ship, or a YAML file.")
    ] = "china",
) -> None:
    """Print when a limit ends, in local time, and whether a year on the way is provisional."""
    from towerwatch.calendars.calendar import load_calendar  # noqa: PLC0415
    from towerwatch.calendars.deadlines import deadline  # noqa: PLC0415
    from towerwatch.calendars.limits import Limit  # noqa: PLC0415

    try:
        parsed = Limit.parse(limit)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    calendar = load_calendar(name)
    begins = start.replace(tzinfo=calendar.zone)
    try:
        ends = deadline(begins, parsed, calendar)
    except OverflowError:
        msg = f"{start:%Y-%m-%d} and {limit}: no calendar reaches that far"
        raise typer.BadParameter(msg) from None
    typer.echo(ends.astimezone(calendar.zone).isoformat(timespec="minutes"))
    for note in calendar.provisional(begins, ends):
        typer.echo(note, err=True)


def _say_year(calendar: CalendarFile, year: int) -> None:
    days = calendar.years[year]
    counts = f"{len(days.days_off)} weekdays off, {len(days.workdays)} weekend days worked"
    typer.echo(f"{year}: {counts} ({days.source})" + (f"; {days.fallback}" if days.fallback else ""))
