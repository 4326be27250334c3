"""The density benchmark's streams over RTSP: a server in a process of its own, whose CPU is told apart."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alerts.broker import free_port
from benchmarks.machine import Usage
from towerwatch.children import towerwatch_command
from towerwatch.errors import RetryableError

START_S = 30.0
STOP_S = 10.0


class ServerFailed(RetryableError):
    """The RTSP server ended, or did not listen in time."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server of one folder."""

    pid: int
    port: int

    def address(self, file: Path) -> str:
        """Return where a file of the folder is to be had."""
        return f"rtsp://127.0.0.1:{self.port}/{file.name}"

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used."""
        return Usage.of(self.pid).cpu_s


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Serve a folder's videos with ``towerwatch streams serve`` for as long as the block lasts.

    Raises:
        ServerFailed: it does not listen.

    """
    port = free_port()
    command = towerwatch_command("streams", "serve", str(folder), "--port", str(port))
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    try:
        _await_port(server, port)
        yield Server(server.pid, port)
    finally:
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _await_port(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None or time.monotonic() > deadline:
            msg = f"towerwatch streams serve does not listen on port {port}"
            raise ServerFailed(msg)
        time.sleep(0.1)
