"""``towerwatch edge``: what is done on a box. Parts are imported when a command is called."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from towerwatch.errors import ConfigError
from towerwatch.timebase import iso_z, parse_utc

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The box's YAML file.")]
EXIT_UNREACHABLE = 1


class Decode(StrEnum):
    """Which pictures of a video are looked at."""

    FULL = "full"
    KEYFRAMES = "keyframes"


@app.callback()
def edge() -> None:
    """Watch cameras: check, calibrate, doctor, run, replay, score."""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _say(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(text)


@app.command()
def check(
    config: ConfigPath,
    draw: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save a picture of each camera with its zones.")
    ] = None,
) -> None:
    """Check a configuration: one line for each problem, exit 2; a camera out of reach, exit 1."""
    from edge.config import load_config  # noqa: PLC0415 - loaded when called

    parsed = load_config(config)
    views = sum(len(camera.views) for camera in parsed.cameras)
    _say(f"{config}: good; {_count(len(parsed.cameras), 'camera')}, {_count(views, 'view')}")
    if draw is None:
        return
    from edge.check import draw_all  # noqa: PLC0415 - loaded when called

    unreachable = 0
    for drawn in draw_all(parsed, draw):
        if drawn.problem is not None:
            unreachable += 1
            _say(f"{drawn.camera}: no picture: {drawn.problem}")
        for path in drawn.pictures:
            _say(f"{drawn.camera}: {path}")
    if unreachable:
        raise typer.Exit(EXIT_UNREACHABLE)


def _start(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_utc(text)
    except (ValueError, OverflowError) as error:
        msg = f"--start {text}: {error}; write for example 2026-05-01T08:00:00+08:00"
        raise ConfigError(msg) from None


@app.command()
def replay(  # noqa: PLR0917 - each is an option of the command
    config: ConfigPath,
    camera: Annotated[str, typer.Option(help="Camera whose views and rules are used.")],
    source: Annotated[Path, typer.Option(help="A video file or a folder of pictures.")],
    alerts: Annotated[Path, typer.Option(metavar="OUT.jsonl", help="One alert message a line.")],
    preset: Annotated[str | None, typer.Option(help="View, where the camera has several.")] = None,
    start: Annotated[str | None, typer.Option(help="When the video starts, with a zone.")] = None,
    decode: Annotated[Decode, typer.Option(help="full: a picture every interval_s.")] = Decode.FULL,
    evidence: Annotated[Path | None, typer.Option(metavar="DIR", help="Write alerts' pictures.")] = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write pictures of alerts with zones and boxes drawn.")
    ] = None,
    gate: Annotated[  # noqa: FBT002 - a flag of the command
        bool, typer.Option(help="Spare the models pictures in which nothing has changed.")
    ] = True,
    draw_gate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every picture with what the gate decided.")
    ] = None,
) -> None:
    """Run a camera's rules over a file or folder, faster than real time; repeatable to the byte."""
    from edge.config import load_config  # noqa: PLC0415 - loaded when called
    from edge.replay import ReplayOptions  # noqa: PLC0415
    from edge.replay_screen import replay_on_screen  # noqa: PLC0415
    from streams.modes import DecodeMode  # noqa: PLC0415

    options = ReplayOptions(
        camera=camera,
        source=source,
        preset=preset,
        start_at=_start(start),
        decode=DecodeMode.parse(decode.value),
        gate=gate,
        evidence_dir=evidence,
        draw_dir=draw,
        gate_dir=draw_gate,
    )
    result = replay_on_screen(load_config(config), options, alerts)
    span = (
        f"{iso_z(result.first_at)} to {iso_z(result.last_at)}" if result.first_at and result.last_at else "-"
    )
    _say(f"{source}: {result.frames} pictures, {span}")
    reasons = ", ".join(f"{why} {number}" for why, number in sorted(result.looks.items()))
    _say(f"  looks at models: {reasons}")
    for (kind, phase), number in sorted(result.phases.items()):
        _say(f"  {kind} {phase}: {number}")
    if not result.phases:
        _say("  no alerts")
    if result.other_views:
        _say(f"  of another view, and not judged: {result.other_views} pictures")
    if result.still_open:
        _say(f"  still open at the end of the source: {len(result.still_open)}")


@app.command()
def score(
    truth: Annotated[
        Path,
        typer.Option(help="A *.truth.json of `streams render`, a folder of them, or a FIgLib sequence."),
    ],
    alerts: Annotated[Path, typer.Option(metavar="A.jsonl", help="What `edge replay` wrote.")],
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
    legal_s: Annotated[float, typer.Option(min=0, help="The parking rule's legal_time_s.")] = 300.0,
    start: Annotated[str | None, typer.Option(help="Time of the first picture, as given to replay.")] = None,
) -> None:
    """Compare alerts with the truth: what was detected, how late, and what was false."""
    from edge.score import ScoreTerms, judge_all  # noqa: PLC0415 - loaded when called
    from edge.score_files import print_rows, read_alerts, read_truths, write_rows  # noqa: PLC0415
    from edge.score_rows import rows_of  # noqa: PLC0415

    truths = read_truths(truth, _start(start))
    rows = rows_of(judge_all(truths, read_alerts(alerts), ScoreTerms(legal_s=legal_s)))
    print_rows(rows)
    if json_path is not None:
        write_rows(rows, json_path)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        msg = f"--size {text}: write the picture's width and height, such as 1920x1080"
        raise ConfigError(msg)
    return int(width), int(height)


@app.command()
def calibrate(
    config: ConfigPath,
    camera: Annotated[str, typer.Option(help="Camera with a mount: in the configuration.")],
    points: Annotated[Path, typer.Option(metavar="FILE", help="Clicked points, YAML or CSV.")],
    preset: Annotated[str | None, typer.Option(help="View, where the camera has several.")] = None,
    size: Annotated[str, typer.Option(help="Width and height of the picture clicked in.")] = "1920x1080",
) -> None:
    """Find how a view looks from landmarks and the horizon; prints its pose: block for the YAML file."""
    from edge.calibrate import calibrate_view  # noqa: PLC0415 - loaded when called
    from edge.config import load_config  # noqa: PLC0415
    from edge.replay import choose_view  # noqa: PLC0415

    found = calibrate_view(*choose_view(load_config(config), camera, preset), points, _size(size))
    for line in found.lines:
        _say(line)
    typer.echo(found.block, nl=False)


class LogLevel(StrEnum):
    """Lowest level shown in the log."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"


@app.command()
def run(
    config: ConfigPath,
    log_level: Annotated[LogLevel, typer.Option(help="Lowest level in the log on stderr.")] = LogLevel.INFO,
) -> None:
    """Watch the cameras until SIGTERM or Ctrl-C; everything stops in order within 10 s."""
    from edge.run import run_edge  # noqa: PLC0415 - loaded when called

    run_edge(config, log_level=log_level.value)


@app.command()
def doctor(config: ConfigPath) -> None:
    """Check clock, disk, broker, central side, models and cameras; exit 1 if something is wrong."""
    from edge.doctor import examine_on_screen  # noqa: PLC0415 - loaded when called

    if not examine_on_screen(config):
        raise typer.Exit(EXIT_UNREACHABLE)
