"""``towerwatch streams render``: make a rendered camera with its truth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from streams.errors import SourceConfigError
from streams.simulator.names import SCENE_NAMES


def render_command(  # noqa: PLR0917 - each is an option of the command
    scene: Annotated[str, typer.Argument(help=f"What to render: {', '.join(SCENE_NAMES)}.")],
    out: Annotated[Path, typer.Option(help="Folder for the video (or pictures) and <scene>.truth.json.")],
    seed: Annotated[int, typer.Option(min=0, help="Changes colours, places, times, light and pose.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length of the scene.")] = 60.0,
    fps: Annotated[float, typer.Option(help="Pictures a second; what happens does not depend on it.")] = 5.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels, both even.")] = "960x540",
    keyframe_s: Annotated[float, typer.Option(min=0.1, help="Seconds between key frames.")] = 2.0,
    pictures: Annotated[bool, typer.Option("--pictures", help="JPEG files named by time, no video.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Render a scene with exact truth; the same seed gives the same pictures."""
    from streams.simulator.write import RenderOrder, write_pictures, write_video  # noqa: PLC0415 - help needs no OpenCV

    order = RenderOrder(scene, seed, seconds, fps, parse_size(size), keyframe_s)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(scene, total=max(1, round(seconds * fps)))

        def report(done: int) -> None:
            progress.update(task, completed=done)

        if pictures:
            made = write_pictures(order, out, progress=report)
        else:
            made = write_video(order, out, progress=report)
    typer.echo(str(made))


def parse_size(text: str) -> tuple[int, int]:
    """Parse ``960x540``; raise SourceConfigError where it is something else."""
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", text)
    if match is None:
        msg = f"size {text!r}: write WIDTHxHEIGHT, such as 960x540"
        raise SourceConfigError(msg)
    return int(match[1]), int(match[2])
