"""``towerwatch central catalogue``: check, import, list and write the event catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alerts.cli_base import (
    ConfigOption,
    DataOption,
    FileArgument,
    at_the_shell,
    database_of,
    say,
    settings_of,
)

app = typer.Typer(no_args_is_help=True, help="What the city handles: categories, items and flows.")


@app.command()
def check(file: FileArgument) -> None:
    """Read a YAML, CSV or XLSX file and say what is wrong in it, by line and key, or by row and column."""
    from alerts.catalogue.read import read_catalogue  # noqa: PLC0415 - help must not load it

    catalogue = read_catalogue(file)
    say(f"{file}: {catalogue.size()}, {len(catalogue.departments)} departments: as it should be")


@app.command("import")
def import_(file: FileArgument, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Make a file the catalogue that counts, whole or not at all; incidents keep the version they have."""
    from alerts.catalogue.read import read_catalogue  # noqa: PLC0415
    from alerts.catalogue.service import CatalogueService  # noqa: PLC0415

    catalogue = read_catalogue(file)
    with database_of(settings_of(config, data_dir)) as database:
        view = CatalogueService(database).import_catalogue(catalogue, at_the_shell())
    say(f"version {view.version}: {view.size}")


@app.command("list")
def list_(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    category: Annotated[str | None, typer.Option(help="Two digits: this category alone.")] = None,
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
) -> None:
    """Print the flows of the catalogue that counts, with their departments and limits."""
    from alerts.catalogue.model import SEVERITIES  # noqa: PLC0415
    from alerts.catalogue.service import CatalogueService  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        service = CatalogueService(database)
        service.ensure_starter()
        found = service.get()
    at = 0 if language == "zh" else 1
    departments = {row.id: (row.zh, row.en)[at] for row in found.catalogue.departments}
    table = Table("code", "item", "flow", "severity", "departments", "accept", "arrive", "close")
    table.title = f"{found.catalogue.name}, version {found.version}: {found.catalogue.size()}"
    for flow in found.catalogue.flows:
        if category is not None and not flow.code.startswith(category):
            continue
        item = found.items[flow.item]
        called = ", ".join(departments[name] for name in (flow.department, *flow.along))
        limits = (limit.text(language) if limit else "" for limit in (flow.accept, flow.arrive, flow.close))
        names = ((item.zh, item.en)[at], (flow.zh, flow.en)[at], SEVERITIES[flow.severity][at])
        table.add_row(flow.code, *names, called, *limits)
    Console().print(table)


@app.command()
def write(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Ends in .csv or .xlsx.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    language: Annotated[str, typer.Option(help="Of the headings: zh or en.")] = "zh",
) -> None:
    """Write the catalogue that counts as a table, to be edited and imported again."""
    from alerts.catalogue.service import CatalogueService  # noqa: PLC0415
    from alerts.catalogue.write import write_catalogue  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        service = CatalogueService(database)
        service.ensure_starter()
        found = service.get()
    write_catalogue(found.catalogue, file, language=language)
    say(f"wrote version {found.version} to {file}: {found.catalogue.size()}")
