"""``towerwatch streams``: probe a camera, serve test cameras, make clips playable."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from streams.errors import SourceConfigError
from streams.simulator.cli import render_command
from towerwatch.logs import configure_logging
from towerwatch.secrets import Secret, resolve

app = typer.Typer(no_args_is_help=True, help="Probe a camera, serve test cameras, make clips playable.")
app.command("render")(render_command)


@app.callback()
def streams() -> None:
    """Probe a camera, serve test cameras, make clips playable."""


@app.command()
def probe(  # noqa: PLR0917 - options of a command
    url: str = typer.Argument(help="rtsp:// or rtsps:// address without a password, or a video file."),
    username: str | None = typer.Option(None, help="Name to log in with."),
    password: str | None = typer.Option(None, help="Reference to the password: env:NAME or file:/path."),
    tls_ca: Path | None = typer.Option(
        None, exists=True, dir_okay=False, help="PEM file that vouches for an rtsps:// camera's certificate."
    ),
    snapshot: Path | None = typer.Option(None, help="Save a picture there as JPEG."),
    seconds: float = typer.Option(6.0, min=1.0, max=120.0, help="How long to measure a live camera."),
    timeout: float = typer.Option(5.0, min=0.5, max=60.0, help="Limit of connecting and of waiting, in s."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),  # noqa: FBT001, FBT003 - a Typer flag
) -> None:
    """Print codec, size, frame rate, key-frame interval and bit rate of a camera or file."""
    from streams.opening import Source  # noqa: PLC0415 - help does not need FFmpeg
    from streams.pictures import encode_jpeg  # noqa: PLC0415
    from streams.probe import probe as measure  # noqa: PLC0415

    configure_logging("streams", level="WARNING", pretty=sys.stderr.isatty())
    source = Source(url, username, _secret(password), timeout, timeout, tls_ca)
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.percentage:3.0f} %"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"measuring {source.shown}", total=1.0)
        result, picture = measure(source, seconds, lambda done: progress.update(task, completed=done))
    if snapshot is not None:
        try:
            snapshot.write_bytes(encode_jpeg(picture))
        except OSError as error:
            msg = f"{snapshot}: cannot be written: {error.strerror}"
            raise SourceConfigError(msg) from error
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(result)))
        return
    table = Table(show_header=False, box=None)
    interval = result.key_interval_s
    for name, value in (
        ("source", result.source),
        ("codec", f"{result.codec} ({result.pixel_format})"),
        ("size", f"{result.width_px} x {result.height_px}"),
        ("frame rate", f"{result.frame_rate_hz:.2f} /s"),
        (
            "key frames",
            f"every {interval:.2f} s" if interval else f"fewer than 2 in {result.measured_s:.1f} s",
        ),
        ("B-frames", "yes" if result.b_frames else "no"),
        ("bit rate", f"{result.bit_rate_bps / 1000:.0f} kbit/s"),
        (
            "measured",
            f"{result.packets} packets, {result.measured_s:.1f} s, connected in {result.connect_s:.2f} s",
        ),
        ("snapshot", str(snapshot) if snapshot else ""),
    ):
        if value:
            table.add_row(name, value)
    Console().print(table)


@app.command()
def serve(
    folder: Path = typer.Argument(help="Folder with H.264 or H.265 video files."),
    host: str = typer.Option("127.0.0.1", help="Address to listen on."),
    port: int = typer.Option(8554, min=0, max=65535, help="Port; 0 takes a free one."),
) -> None:
    """Publish every video file of a folder as a looping RTSP camera, until stopped."""
    from streams.serve import ServedFolder  # noqa: PLC0415 - help does not need the server

    configure_logging("streams", pretty=sys.stderr.isatty())
    with _until_signal() as stopped, ServedFolder(folder, host, port) as served:
        for url in served.urls.values():
            typer.echo(url)
        stopped.wait()


@app.command()
def transcode(
    source: Path = typer.Argument(metavar="IN", help="A video: H.265, MJPEG, MPEG-4 or H.264."),
    target: Path = typer.Argument(metavar="OUT", help="The MP4 to write."),
) -> None:
    """Turn a clip into H.264 that every browser plays; without sound, the long side at most 1920."""
    from streams.transcode import transcode as write  # noqa: PLC0415 - help does not need FFmpeg

    configure_logging("streams", level="WARNING", pretty=sys.stderr.isatty())
    write(source, target)


def _secret(reference: str | None) -> Secret | None:
    if reference is None:
        return None
    try:
        return resolve(reference)
    except ValueError as error:
        msg = f"--password: {error}"
        raise SourceConfigError(msg) from None


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set; put the old handlers back afterwards."""
    stopped = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    old = [signal.signal(number, lambda *_: stopped.set()) for number in numbers]
    try:
        yield stopped
    finally:
        for number, handler in zip(numbers, old, strict=True):
            signal.signal(number, handler)
