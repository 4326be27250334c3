"""How a benchmark runs as a command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

import typer

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def run_command(main: Callable[..., None]) -> None:
    """Run a benchmark; SIGTERM and SIGHUP end it as Ctrl-C does, and so all that it has started.

    Brokers, databases and boxes of a benchmark that simply died would run on.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        for one in _ENDINGS:
            signal.signal(one, signal.SIG_IGN)  # once is enough: what is ending takes its time
        sys.exit(128 + number)

    for number in _ENDINGS:
        signal.signal(number, end)
    typer.run(main)
