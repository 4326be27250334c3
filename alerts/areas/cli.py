"""``towerwatch central areas`` and ``rosters``: import them, and find who is in charge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alerts.cli_base import (
    ConfigOption,
    DataOption,
    FileArgument,
    at_the_shell,
    database_of,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from alerts.areas.service import AreaService

app = typer.Typer(no_args_is_help=True, help="City, counties, townships and grid cells, as polygons.")
roster_app = typer.Typer(no_args_is_help=True, help="Who is on duty where, and when.")


@contextmanager
def _areas(config: Path | None, data_dir: Path | None) -> Iterator[AreaService]:
    from alerts.areas.service import AreaService  # noqa: PLC0415 - help must not load it
    from towerwatch.calendars.calendar import load_calendar  # noqa: PLC0415

    settings = settings_of(config, data_dir)
    zone = load_calendar(settings.handling.calendar).zone
    with database_of(settings) as database:
        yield AreaService(database, zone)


@app.command("import")
def import_(file: FileArgument, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Make the features of a GeoJSON file the areas that there are, whole or not at all.

    Each feature is a polygon in WGS 84 with the properties id, level (city, county, township, grid), zh, and
    if you like en and parent.
    """
    from alerts.areas.geojson import read_areas  # noqa: PLC0415

    shapes = read_areas(file)
    with _areas(config, data_dir) as areas:
        say(f"{areas.import_areas(shapes, at_the_shell())} areas")


@app.command("list")
def list_(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Print the areas, largest first."""
    with _areas(config, data_dir) as areas:
        for area in areas.list_areas():
            say(
                f"{area.level:8} {area.id:16} {area.zh} ({area.en})"
                + (f" in {area.parent}" if area.parent else "")
            )


@app.command()
def find(
    lat: Annotated[float, typer.Argument(min=-90, max=90, help="Latitude in degrees, WGS 84.")],
    lon: Annotated[float, typer.Argument(min=-180, max=180, help="Longitude in degrees.")],
    at: Annotated[datetime | None, typer.Option(help="Local time; now without it.")] = None,
    department: Annotated[str | None, typer.Option(help="Without it: the grid worker of the place.")] = None,
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Print the areas of a place, smallest first, and who is on duty there."""
    with _areas(config, data_dir) as areas:
        found = areas.in_charge(lat, lon, at.replace(tzinfo=areas.zone) if at else None, department)
    for area in found.areas:
        say(f"{area.level:8} {area.id:16} {area.zh} ({area.en})")
    for duty in found.on_duty:
        say(f"on duty  {duty.area:16} {duty.person}, {duty.contact}")
    if not found.on_duty:
        say("nobody is on duty there")


@roster_app.command("import")
def import_roster(file: FileArgument, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Make the rows of a CSV or XLSX file the shifts that there are, whole or not at all.

    Columns: area, department (none: grid worker), person, contact, user, days (mon-fri), hours (08:00-20:00),
    first_day, last_day.
    """
    from alerts.areas.roster import read_roster  # noqa: PLC0415

    with _areas(config, data_dir) as areas:
        rows = read_roster(file, {area.id for area in areas.list_areas()})
        say(f"{areas.import_roster(rows, at_the_shell())} shifts")


@roster_app.command("list")
def list_roster(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Print all shifts."""
    with _areas(config, data_dir) as areas:
        for duty in areas.list_shifts():
            who = duty.department or "grid worker"
            parts = (duty.days, duty.hours, duty.first_day, duty.last_day)
            when = " ".join(str(part) for part in parts if part)
            say(f"{duty.area:16} {who:20} {duty.person}, {duty.contact} {when}".rstrip())
