"""What every ``central`` command shares: its options, its configuration, its database."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towerwatch.logs import configure_logging

if TYPE_CHECKING:
    from alerts.config import CentralConfig
    from alerts.store.database import Database

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file; without one all defaults hold.")
]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Overrides data_dir of the file.")]
FileArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]


def settings_of(config: Path | None, data_dir: Path | None, service: str | None = None) -> CentralConfig:
    """Read the configuration; a service logs what it does, a single command only what is wrong."""
    from alerts.config import load_config  # noqa: PLC0415 - help must not load it

    configure_logging(service or "central", level="INFO" if service else "WARNING")
    return load_config(config, data_dir)


@contextmanager
def database_of(settings: CentralConfig) -> Iterator[Database]:
    """Open the database at the newest schema, for the time of a command."""
    from alerts.program import open_database  # noqa: PLC0415 - help must not load the web stack

    database = open_database(settings)
    try:
        yield database
    finally:
        database.close()


def say(line: str) -> None:
    """Print a line at once, so that who reads along sees it."""
    typer.echo(line)
    typer.get_text_stream("stdout").flush()


def at_the_shell() -> str:
    """Return who runs this command, as the audit names it."""
    return f"shell:{getpass.getuser()}"[:64]
