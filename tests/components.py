"""Real components for tests: found, started on loopback, ended by process id.

A component that is missing skips the test with its reason on a laptop and fails it in CI.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
DEADLINE_S = 20.0


def missing(what: str, how: str) -> None:
    """Skip on a laptop, fail in CI."""
    reason = f"{what} is not on this machine ({how})"
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def need_program(name: str, package: str, *also: str) -> str:
    """Return the path of a program, or skip/fail."""
    for candidate in (name, *also):
        found = shutil.which(candidate)
        if found:
            return found
    missing(name, f"apt-get install {package}")
    raise AssertionError


def free_port() -> int:
    """Return a TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    condition: Callable[[], object], timeout_s: float = DEADLINE_S, what: str = "condition"
) -> object:
    """Poll a condition until it is truthy and return its value; fail the test at the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"{what} not met within {timeout_s} s", pytrace=True)
        time.sleep(0.02)


def port_open(port: int) -> bool:
    """Tell whether something listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Program:
    """A child process with its output in a file; a context manager that always ends it."""

    command: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    stop_s: float = 10.0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Program:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.env},
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self, sig: int = signal.SIGKILL) -> int:
        """Send a signal to the process itself and wait for its end."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(self.stop_s)

    def stop(self) -> int:
        """End in good order (SIGTERM); what does not stop within ``stop_s`` is killed and reported."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(self.stop_s)
        except subprocess.TimeoutExpired:
            self._kill_group()
            pytest.fail(f"{self.command[:4]} did not stop within {self.stop_s} s:\n{self.output()[-2000:]}")

    def _kill_group(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)

    def __enter__(self) -> Program:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        if self.running():
            self.stop()
        elif self.process is not None:
            self._kill_group()  # children of a process that was killed


def towerwatch(*arguments: str | Path) -> list[str]:
    """Return the argument list that runs our own command with this interpreter."""
    return [sys.executable, "-m", "towerwatch", *map(str, arguments)]


def run_command(*arguments: str | Path, timeout_s: float = 60) -> str:
    """Run one of our own commands to its end and return its standard output; fail on any other end."""
    done = subprocess.run(
        towerwatch(*arguments), capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass
class Mosquitto:
    """A Mosquitto broker on a loopback port; plain and anonymous unless ``lines`` says otherwise."""

    folder: Path
    port: int = 0
    lines: list[str] | None = None
    program: Program | None = None

    def start(self) -> Mosquitto:
        binary = need_program("mosquitto", "mosquitto", "/usr/sbin/mosquitto")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        lines = self.lines or [f"listener {self.port} 127.0.0.1", "allow_anonymous true"]
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join([*lines, "max_queued_messages 100000", ""]))
        config.chmod(0o644)
        self.program = Program([binary, "-c", str(config)], self.folder / "mosquitto.log").start()
        wait_until(lambda: port_open(self.port) or not self._alive(), what="mosquitto listening")
        if not self._alive():
            pytest.fail(f"mosquitto ended at once:\n{self.program.output()}")
        return self

    def _alive(self) -> bool:
        return self.program is not None and self.program.running()

    def kill(self) -> None:
        assert self.program is not None
        self.program.kill()

    def stop(self) -> None:
        if self.program is not None and self.program.running():
            self.program.stop()


@dataclass
class Postgres:
    """A PostgreSQL cluster of its own in a temporary folder, on a loopback port.

    The folder is not pytest's: those are closed to the user that PostgreSQL must run as.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="towerwatch-pg-")))
    port: int = 0
    program: Program | None = None

    def _bin(self, name: str) -> str:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        return str(found[-1]) if found else need_program(name, "postgresql")

    def _as_owner(self, command: list[str]) -> list[str]:
        # PostgreSQL refuses to run as root
        owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        return [*owner, *command] if os.geteuid() == 0 else command

    def start(self) -> Postgres:
        initdb, postgres = self._bin("initdb"), self._bin("postgres")
        data = self.folder / "data"
        if not data.exists():
            if os.geteuid() == 0:
                shutil.chown(self.folder, "postgres", "postgres")
            options = ["-A", "trust", "-U", "towerwatch", "-E", "UTF8", "--locale=C", "-N"]
            done = subprocess.run(
                self._as_owner([initdb, "-D", str(data), *options]),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                cwd="/",
            )
            assert done.returncode == 0, done.stderr
        self.port = self.port or free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "60",
            "shared_buffers": "32MB",
            "fsync": "off",  # what a test kills is the process; only a power cut would need it
        }
        command = [postgres, "-D", str(data), "-p", str(self.port)]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.program = Program(self._as_owner(command), self.folder / "postgres.log").start()
        wait_until(self._answers, what="PostgreSQL answering")
        return self

    def _answers(self) -> bool:
        psql = shutil.which("psql") or self._bin("psql")
        done = subprocess.run(
            [
                psql,
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
                "-U",
                "towerwatch",
                "-d",
                "postgres",
                "-Atc",
                "select 1",
            ],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        return done.stdout.strip() == "1"

    def sql(self, statement: str) -> None:
        psql = shutil.which("psql") or self._bin("psql")
        subprocess.run(
            [
                psql,
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
                "-U",
                "towerwatch",
                "-d",
                "postgres",
                "-c",
                statement,
            ],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )

    def new_database(self, name: str) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.sql(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://towerwatch@127.0.0.1:{self.port}/{name}"

    def stop(self, sig: int = signal.SIGINT) -> None:
        """Fast shutdown (SIGINT); SIGQUIT for a crash."""
        if self.program is not None and self.program.running():
            self.program.kill(sig)

    def remove(self) -> None:
        """Stop without tidying up, and delete the folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def started(component: Mosquitto | Postgres) -> Iterator[Mosquitto | Postgres]:
    """Start a component and stop it whatever happens."""
    try:
        yield component.start()
    finally:
        component.stop()


@contextlib.contextmanager
def gst_server(folder: Path, *arguments: str) -> Iterator[int]:
    """Run GStreamer's RTSP server with ``tests/gst_rtsp_server.py``; yield its port."""
    python = "/usr/bin/python3"
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    have = (
        Path(python).exists()
        and not subprocess.run([python, "-c", probe], capture_output=True, timeout=30, check=False).returncode
    )
    if not have:
        missing("GStreamer's RTSP server", "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi")
    port = free_port()
    script = REPOSITORY / "tests" / "gst_rtsp_server.py"
    log = folder / f"gst-{port}.log"
    # a bare environment: the virtual environment's variables confuse the system's Python
    with Program([python, str(script), "--port", str(port), *arguments], log) as program:
        wait_until(lambda: port_open(port) or not program.running(), what="GStreamer's server listening")
        assert program.running(), program.output()
        yield port


def chromium() -> str:
    """Return the path of Debian's Chromium, or skip/fail."""
    return need_program("chromium", "chromium", "chromium-browser", "google-chrome")


CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
