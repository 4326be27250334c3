"""The one command. Each subcommand loads its room only when it is called."""

from __future__ import annotations

import errno
import importlib
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_command

from towerwatch import __version__
from towerwatch.errors import ConfigError, TowerwatchError
from towerwatch.secrets import redact

EXIT_ERROR = 1
EXIT_CONFIG = 2

# subcommand -> (module with a Typer app named `app`, one line of help, extra that brings its packages)
ROOMS: dict[str, tuple[str, str, str]] = {
    "demo": ("towerwatch.demo", "Run the whole system on rendered cameras, with a console.", "demo"),
    "edge": ("edge.cli", "Watch cameras: check, doctor, run, replay.", "edge"),
    "central": ("alerts.cli", "Turn alerts into incidents: up, consume, work, serve.", "central"),
    "models": ("models.cli", "Import, list, verify and try detectors.", "edge"),
    "streams": ("streams.cli", "Probe a camera, serve test cameras, render scenes, transcode clips.", "edge"),
}
OUR_PACKAGES = frozenset({"towerwatch", "streams", "models", "edge", "alerts", "configs"})


class LazyRooms(TyperGroup):
    """A command group that imports a room when its subcommand is called, not before."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is Typer's
        """Name the rooms without importing them."""
        return list(ROOMS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the signature is Typer's
        """Import the room behind ``cmd_name``; say which extra is missing if it cannot be."""
        if cmd_name not in ROOMS:
            return None
        module, _help, extra = ROOMS[cmd_name]
        try:
            app = importlib.import_module(module).app
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package in OUR_PACKAGES:
                raise
            msg = f"{cmd_name} needs the package {package}: pip install 'towerwatch[{extra}]'"
            raise TowerwatchError(msg) from error
        command = get_command(app)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the rooms from :data:`ROOMS`, so that help imports none of them."""
        formatter.write_text(f"Usage: {ctx.command_path} [--version] COMMAND ...")
        formatter.write_paragraph()
        formatter.write_text("Towerwatch: from a tower camera's pixels to a closed city incident.")
        formatter.write_paragraph()
        formatter.write_dl([(name, text) for name, (_module, text, _extra) in ROOMS.items()])

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand; turn our own errors into one clear line and an exit code."""
        console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            console.print(redact(str(error)))
            raise typer.Exit(EXIT_CONFIG) from None
        except TowerwatchError as error:
            console.print(f"error: {redact(str(error))}")
            raise typer.Exit(EXIT_ERROR) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # nobody reads our output any more: Typer ends quietly
            console.print(f"error: {redact(_in_words(error))}")
            raise typer.Exit(EXIT_ERROR) from None


def _in_words(error: OSError) -> str:
    """Say which file it is about first, as editors and people expect it."""
    if error.filename is None or error.strerror is None:
        return str(error)
    files = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' -> '.join(files)}: {error.strerror}"


app = typer.Typer(cls=LazyRooms, add_completion=False, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - a Typer callback takes its value so
    if wanted:
        typer.echo(f"towerwatch {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(  # noqa: FBT001 - handled by its callback
        False,  # noqa: FBT003 - the default of a flag
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version.",
    ),
) -> None:
    """Towerwatch: from a tower camera's pixels to a closed city incident."""


def main() -> None:
    """Run the command line; exit 2 for a configuration error, 1 for any other known error."""
    app()
