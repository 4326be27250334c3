"""Programs that this program starts: their output in files, watched while they run, ended in order.

Each child leads a process group of its own, so that Ctrl-C in the terminal reaches us alone and we
decide the order, and so that whatever a child has started ends with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from towerwatch.errors import TowerwatchError
from towerwatch.secrets import redact

TAIL_LINES = 15
_POLL_S = 0.05
_LAST_S = 1.0  # kept of a deadline for killing what did not stop


class ChildFailed(TowerwatchError):
    """A child ended that should not have, or ended badly; the message holds its last log lines."""


@dataclass(slots=True, eq=False)
class Child:
    """A running program; ``log`` takes its output. A ``job`` is meant to end by itself, with code 0."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    job: bool = False
    reader: threading.Thread | None = None

    def tail(self, lines: int = TAIL_LINES) -> str:
        """Return the last lines of the log, without secrets."""
        try:
            text = self.log.read_bytes()[-20_000:].decode(errors="replace")
        except OSError as error:
            return f"(no log: {error.strerror})"
        return redact("\n".join(text.splitlines()[-lines:]))

    def ended_badly(self) -> ChildFailed:
        """Return the error that tells how it ended."""
        code = self.process.returncode
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        return ChildFailed(f"{self.name} {how}; its log is {self.log} and ends:\n{self.tail()}")


def towerwatch_command(*arguments: str) -> list[str]:
    """Return the command line that runs this very installation of ``towerwatch``."""
    return [sys.executable, "-m", "towerwatch", *arguments]


@dataclass(slots=True)
class Family:
    """All children of one run; started in order, stopped in the reverse."""

    log_dir: Path
    _running: list[Child] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str],
        on_line: Callable[[str], bool] | None = None,
        *,
        job: bool = False,
    ) -> Child:
        """Start a program; its output goes to ``<log_dir>/<name>.log``.

        ``on_line`` is given its standard output line by line, in a thread of its own, and says whether
        the line goes into the log: so a password is kept out.

        Raises:
            ChildFailed: it cannot be started at all.

        """
        self.log_dir.mkdir(parents=True, exist_ok=True)
        log = self.log_dir / f"{name}.log"
        with log.open("ab") as sink:
            try:
                process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if on_line else sink,
                    stderr=sink,
                    start_new_session=True,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                )
            except OSError as error:
                msg = f"{name} cannot be started: {error.strerror}: {command[0]}"
                raise ChildFailed(msg) from None
        child = Child(name, log, process, job)
        if on_line is not None:
            child.reader = threading.Thread(target=_read, args=(child, on_line), name=f"{name}-output")
            child.reader.start()
        self._running.append(child)
        return child

    def check(self) -> None:
        """Raise :class:`ChildFailed` if a child that should run has ended."""
        for child in self._running:
            code = child.process.poll()
            if code is not None and not (child.job and code == 0):
                raise child.ended_badly()

    def finish(self, children: Sequence[Child], stopped: threading.Event, timeout_s: float) -> None:
        """Wait until programs that end by themselves have done so; stop waiting when ``stopped`` is set.

        Raises:
            ChildFailed: one ended with another code than 0, or not in time.

        """
        deadline = time.monotonic() + timeout_s
        waiting = list(children)
        while waiting and not stopped.wait(_POLL_S):
            for child in [c for c in waiting if c.process.poll() is not None]:
                waiting.remove(child)
                self._running.remove(child)
                _reap(child, 0.0)
                if child.process.returncode != 0:
                    raise child.ended_badly()
            if time.monotonic() > deadline:
                names = ", ".join(child.name for child in waiting)
                msg = f"{names} not done within {timeout_s:.0f} s; logs are in {self.log_dir}"
                raise ChildFailed(msg)

    def kill(self, child: Child, number: int = signal.SIGKILL) -> None:
        """End one child by a signal, as a fault would; it may be started anew under its name."""
        self._running.remove(child)
        child.process.send_signal(number)
        _reap(child, _LAST_S)

    def stop(self, timeout_s: float = 9.5) -> tuple[str, ...]:
        """Stop all, the youngest first, each after the one before it; return whom it took force to end.

        SIGTERM, and SIGKILL to the whole process group for what does not heed it. ``timeout_s`` is for
        all together: each may take what is left, less a moment for each of the others.
        """
        deadline = time.monotonic() + timeout_s
        forced = []
        while self._running:
            child = self._running.pop()
            others_s = _LAST_S * (len(self._running) + 1)
            if not _reap(child, max(0.2, deadline - time.monotonic() - others_s)):
                forced.append(child.name)
        return tuple(forced)


def _reap(child: Child, timeout_s: float) -> bool:
    """End a child, its group and its reader; False if it had to be killed."""
    process = child.process
    heeded = True
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            heeded = False
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # the group, which may outlive its leader
    process.wait(_LAST_S)
    if child.reader is not None:
        child.reader.join(_LAST_S)
    return heeded


def _read(child: Child, on_line: Callable[[str], bool]) -> None:
    """Pass a child's standard output on, line by line, until it closes."""
    pipe = child.process.stdout
    if pipe is None:
        return
    with pipe, child.log.open("ab") as sink:
        for raw in pipe:
            if on_line(raw.decode(errors="replace").rstrip("\n")):
                sink.write(raw)
                sink.flush()
