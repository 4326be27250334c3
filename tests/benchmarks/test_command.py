"""A benchmark that is told to end cleans up after itself."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import contextlib, time
from benchmarks.command import run_command

@contextlib.contextmanager
def broker():
    try:
        yield
    finally:
        print("broker ended", flush=True)

def main() -> None:
    with broker():
        print("started", flush=True)
        time.sleep(60)

run_command(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_a_benchmark_started_ends_with_it(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        assert process.stdout.read() == "broker ended\n"
        assert process.wait(20) == 128 + number
