"""A whole site on loopback for benchmarks: real broker, database, central and boxes, each a process.

Mosquitto and PostgreSQL are used where they are installed; else the embedded broker and SQLite, and
the facts say so: figures taken on one are no figures of the other.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from towerwatch import demosite
from towerwatch.children import Child, Family, towerwatch_command
from towerwatch.errors import TowerwatchError
from towerwatch.secrets import Secret

_READY_S = 60.0
_JOB_S = 120.0
_POLL_S = 0.1


class SiteFailed(TowerwatchError):
    """A part of the site cannot be started; the message says which and why."""


@dataclass(slots=True)
class Site:
    """Broker, database and central of one run below ``folder``; a context manager that ends them all.

    ``parts`` are central's processes, "up" for all in one; ``settings`` replace keys of its configuration.
    ``broker`` and ``database`` name what was used. ``token`` is an administrator's, for the API.
    """

    folder: Path
    embedded: bool = False
    parts: tuple[str, ...] = ("up",)
    settings: Mapping[str, Any] = field(default_factory=dict)
    broker: str = ""
    database: str = ""
    database_url: str = ""
    broker_port: int = 0
    http_port: int = 0
    token: Secret | None = None
    family: Family = field(init=False)
    children: dict[str, Child] = field(default_factory=dict)
    _commands: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Prepare the children's logs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.family = Family(self.folder / "logs")

    def __enter__(self) -> Self:
        """Start all; what was started is ended again when something fails."""
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Stop all, the youngest first."""
        self.close()

    def close(self) -> None:
        """Stop what runs and delete the database's cluster."""
        self.family.stop(30.0)

    @property
    def config(self) -> Path:
        """Central's configuration."""
        return self.folder / "central.yaml"

    def enrol(self, edge: str) -> Path:
        """Enrol a box and return its enrolment file."""
        out = self.folder / f"{edge}.enrol.json"
        base = ("central", "enrol", edge, "--site", demosite.SITE, "--plain")
        self.job(f"enrol-{edge}", *base, "--config", str(self.config), "--out", str(out))
        return out

    def job(self, name: str, *arguments: str) -> None:
        """Run one of our commands to its end."""
        child = self.family.start(name, towerwatch_command(*arguments), job=True)
        self.family.finish([child], threading.Event(), _JOB_S)

    def serve(self, folder: Path) -> int:
        """Serve the videos of a folder as RTSP cameras and return the port."""
        (port,) = demosite.free_ports(1)
        self.family.start("cameras", towerwatch_command("streams", "serve", str(folder), "--port", str(port)))
        self.await_port("cameras", port)
        return port

    def run_box(self, edge: str, cameras: Sequence[Mapping[str, Any]], health_s: float) -> None:
        """Enrol a box and start it with these cameras; it says its health every ``health_s``."""
        document = {
            "site": demosite.SITE,
            "edge": edge,
            "data_dir": f"./{edge}-data",
            "tune": False,
            "enrolment": str(self.enrol(edge)),
            "cameras": [dict(camera) for camera in cameras],
        }
        config = demosite.write_yaml(self.folder / f"{edge}.yaml", document)
        command = [sys.executable, "-m", "benchmarks.density_box", str(config), str(health_s)]
        self.children[edge] = self.family.start(edge, command)

    def kill(self, name: str) -> None:
        """Kill a part by SIGKILL; PostgreSQL, whose servers outlive their parent, by its own way to crash."""
        number = signal.SIGQUIT if name == "postgres" else signal.SIGKILL
        self.family.kill(self.children.pop(name), number)

    def restart(self, name: str) -> None:
        """Start a part again that was killed; it may not be ready yet."""
        self._start(name, self._commands[name])

    def _start(self, name: str, command: list[str]) -> None:
        self._commands[name] = command
        self.children[name] = self.family.start(name, command, _is_no_password)

    def await_port(self, what: str, port: int) -> None:
        """Wait until something listens on a loopback port.

        Raises:
            SiteFailed: not in time.
            ChildFailed: a part ended.

        """

        def listens() -> bool:
            with socket.socket() as probe:
                probe.settimeout(0.5)
                return probe.connect_ex(("127.0.0.1", port)) == 0

        self.wait(listens, what)

    def wait(self, done: Callable[[], bool], what: str, timeout_s: float = _READY_S) -> None:
        """Wait until ``done``; the children are watched meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not done():
            self.family.check()
            if time.monotonic() > deadline:
                msg = f"{what}: not ready within {timeout_s:.0f} s; logs are in {self.family.log_dir}"
                raise SiteFailed(msg)
            time.sleep(_POLL_S)

    def _open(self) -> None:
        self.broker_port, self.http_port, database_port = demosite.free_ports(3)
        mosquitto = (
            None if self.embedded else shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        )
        self.broker = "mosquitto" if mosquitto else "embedded"
        if mosquitto:
            self._start_mosquitto(mosquitto)
        binaries = None if self.embedded else _postgres_binaries()
        self.database = "postgresql" if binaries else "sqlite"
        if binaries:
            self._start_postgres(binaries, database_port)
        document = demosite.central_document(self.broker_port, self.http_port)
        document |= {"console": {"enabled": False}, **self.settings}
        if self.database_url:
            document["database"] = {"url": self.database_url}
        demosite.write_yaml(self.config, document)
        self._make_token()
        for part in self.parts:
            more = () if mosquitto or part != "up" else ("--embedded-broker",)
            self._start(part, towerwatch_command("central", part, *more, "--config", str(self.config)))
        self.await_port("central", self.http_port)

    def _start_mosquitto(self, program: str) -> None:
        config, kept = self.folder / "mosquitto.conf", self.folder / "mosquitto"
        kept.mkdir()
        lines = (
            f"listener {self.broker_port} 127.0.0.1",
            "allow_anonymous true",
            "max_queued_messages 100000",
            f"user {getpass.getuser()}",
            "persistence true",  # as in configs/deploy/mosquitto.conf: central's session outlives a kill
            f"persistence_location {kept}/",
            "autosave_interval 60",
        )
        config.write_text("\n".join([*lines, ""]), encoding="utf-8")
        config.chmod(0o644)
        self._start("mosquitto", [program, "-c", str(config)])
        self.await_port("mosquitto", self.broker_port)

    def _start_postgres(self, binaries: Path, port: int) -> None:
        """Start a cluster of its own, durable as in earnest (fsync on)."""
        home = self.folder / "postgres"
        home.mkdir()
        owner: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
            shutil.chown(home, "postgres", "postgres")
            _open_to_others(home)
        options = ("-A", "trust", "-U", "towerwatch", "-E", "UTF8", "--locale=C")
        init = self.family.start(
            "initdb", [*owner, f"{binaries}/initdb", "-D", f"{home}/data", *options], job=True
        )
        self.family.finish([init], threading.Event(), _JOB_S)
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=60")
        flags = [part for setting in settings for part in ("-c", setting)]
        self._start(
            "postgres", [*owner, f"{binaries}/postgres", "-D", f"{home}/data", "-p", str(port), *flags]
        )
        make = [f"{binaries}/createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "towerwatch", "towerwatch"]
        self.wait(
            lambda: subprocess.run(make, capture_output=True, check=False).returncode == 0, "PostgreSQL"
        )
        self.database_url = f"postgresql+psycopg://towerwatch@127.0.0.1:{port}/towerwatch"

    def _make_token(self) -> None:
        def take(line: str) -> bool:
            self.token = Secret(line.strip())
            return False

        create = ("central", "token", "create", "benchmark", "--config", str(self.config))
        child = self.family.start("token", towerwatch_command(*create), take, job=True)
        self.family.finish([child], threading.Event(), _JOB_S)
        if self.token is None:
            msg = f"central token create printed nothing:\n{child.tail()}"
            raise SiteFailed(msg)


def _postgres_binaries() -> Path | None:
    """Return the folder of the newest server's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def _open_to_others(folder: Path) -> None:
    """Let other users pass through the temporary folders above ``folder``."""
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001 and parent.stat().st_uid == os.geteuid():
            parent.chmod(mode | 0o011)


def _is_no_password(line: str) -> bool:
    """Keep the first start's password out of the log."""
    return "password" not in line
