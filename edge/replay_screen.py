"""A replay with its progress shown on the terminal."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from edge.config import EdgeConfig
from edge.replay import ReplayOptions, ReplayResult, replay
from streams.pictures import PICTURE_SUFFIXES


def replay_on_screen(config: EdgeConfig, options: ReplayOptions, alerts: Path) -> ReplayResult:
    """Run :func:`edge.replay.replay` and show how far it is; the bar knows the end of folders alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    began_s = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replay", total=_pictures(options.source))

        def on_frame(result: ReplayResult) -> None:
            rate = result.source_s / max(time.monotonic() - began_s, 1e-3)
            text = f"{result.frames} pictures, {result.source_s:.0f} s of source, {rate:.0f} x real time"
            progress.update(task, completed=result.frames, description=text)

        return replay(config, options, alerts, on_frame=on_frame)


def _pictures(source: Path) -> int | None:
    if not source.is_dir():
        return None
    return sum(path.suffix.lower() in PICTURE_SUFFIXES for path in source.iterdir())
