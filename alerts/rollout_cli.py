"""``towerwatch central rollout``: models and configurations to boxes, with their answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towerwatch.errors import TowerwatchError

if TYPE_CHECKING:
    from alerts.evidence import BlobStore
    from alerts.store.database import Database

app = typer.Typer(no_args_is_help=True, help="Send models and configurations to boxes.")

Edges = Annotated[list[str], typer.Option("--edge", help="Id of a box; may be repeated.")]
Wait = Annotated[float, typer.Option(min=0, help="How long to wait for answers, in s.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Central's YAML file; without one all defaults hold.")
]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Overrides data_dir of the file.")]


@app.command("model")
def send_model_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a model version, with its manifest.json.")],
    edge: Edges,
    wait_s: Wait = 180.0,
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Have boxes fetch a model version; it runs on none until its configuration names it."""
    from alerts.rollout import send_model  # noqa: PLC0415 - help must not load the database

    _send(lambda database, store: send_model(database, store, folder, edge), config, data_dir, wait_s)


@app.command("config")
def send_config_command(
    file: Annotated[Path, typer.Argument(help="An edge configuration.")],
    edge: Edges,
    wait_s: Wait = 240.0,
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Have boxes try a configuration; one that its workers do not come up with is taken back there."""
    from alerts.rollout import send_config  # noqa: PLC0415 - as above

    _send(lambda database, store: send_config(database, store, file, edge), config, data_dir, wait_s)


def _send(
    send: Callable[[Database, BlobStore], dict[str, str]],
    config: Path | None,
    data_dir: Path | None,
    wait_s: float,
) -> None:
    from alerts.config import load_config  # noqa: PLC0415 - as above
    from alerts.evidence import BlobStore  # noqa: PLC0415 - as above
    from alerts.program import open_database  # noqa: PLC0415 - as above
    from alerts.rollout import wait  # noqa: PLC0415 - as above
    from towerwatch.logs import configure_logging  # noqa: PLC0415 - as above

    configure_logging("central", level="WARNING")
    settings = load_config(config, data_dir)
    database = open_database(settings)
    try:
        asked = send(database, BlobStore(settings.data_dir / "artifacts"))
        answers = wait(database, asked, wait_s)
    finally:
        database.close()
    for answer in answers:
        typer.echo(f"{answer.edge}: {'ok' if answer.ok else 'not done'}: {answer.detail}")
    failed = [answer.edge for answer in answers if not answer.ok]
    if failed:
        msg = f"not done on {', '.join(failed)}"
        raise TowerwatchError(msg)
