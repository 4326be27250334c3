"""``towerwatch demo``: the whole system on rendered cameras, every part a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from towerwatch import demosite
from towerwatch.children import Child, Family, towerwatch_command
from towerwatch.demosite import Folders
from towerwatch.demowatch import CentralWatch, Progress
from towerwatch.errors import TowerwatchError
from towerwatch.secrets import Secret

TIME_LIMIT_S = 300.0
_RENDER_S = 240.0
_SETUP_S = 90.0
_READY_S = 90.0
_STOP_S = 9.5
_LOOK_S = 1.0
_PASSWORD = re.compile(r"log in as (?P<name>\S+) with password (?P<password>\S+)")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class DemoFailed(TowerwatchError):
    """The demo did not show what it is there to show; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What was asked for; see the command's help."""

    once: bool = False
    seed: int = 0
    port: int = 0
    browser: bool = True
    keep: Path | None = None
    models_dir: Path | None = None


@app.command()
def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="End as soon as all three kinds are incidents with pictures.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Changes the scenes.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Console's port; 0 takes a free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep videos, data and logs there; videos are reused.")
    ] = None,
    models_dir: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder with other detectors named smoke and vehicle."
        ),
    ] = None,
) -> None:
    """Run the whole system on rendered cameras: smoke, an illegally parked car and a blocked road."""
    options = DemoOptions(once, seed, port, not no_browser, keep, models_dir)
    with _until_signal() as stopped:
        run_demo(options, stopped, Console(stderr=True, highlight=False, markup=False))


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """Give an event that SIGTERM, SIGINT and SIGHUP set; put the old handlers back afterwards."""
    stopped = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    old = [signal.signal(number, lambda *_: stopped.set()) for number in numbers]
    try:
        yield stopped
    finally:
        for number, handler in zip(numbers, old, strict=True):
            signal.signal(number, handler)


def run_demo(options: DemoOptions, stopped: threading.Event, console: Console) -> None:
    """Run until all is shown (``once``) or until ``stopped`` is set; leave nothing behind.

    After a failure the logs stay, and the message says where.

    Raises:
        DemoFailed: with ``once``, when time is up or the run was interrupted; or a part of the system
            died, or could not be set up.

    """
    folders = _make_folders(options)
    family = Family(folders.logs)
    try:
        _Demo(options, folders, family, console, stopped).run()
    except TowerwatchError as error:
        _stop(family, console)
        msg = f"{error}\nlogs: {_keep_logs(options, folders)}"
        raise DemoFailed(msg) from None
    finally:
        _stop(family, console)
        if options.keep is None:
            shutil.rmtree(folders.run, ignore_errors=True)


def _stop(family: Family, console: Console) -> None:
    forced = family.stop(_STOP_S)
    if forced:
        console.print(f"did not stop in time and had to be killed: {', '.join(forced)}")


def _make_folders(options: DemoOptions) -> Folders:
    """Make the run's folders: below ``--keep``, or temporary ones."""
    if options.keep is None:
        run = Path(tempfile.mkdtemp(prefix="towerwatch-demo-"))
        return Folders(run / "videos", run)
    base = options.keep.resolve()
    run = base / f"run-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    run.mkdir(parents=True, exist_ok=True)
    return Folders(demosite.video_folder(base / "videos", options.seed), run)


def _keep_logs(options: DemoOptions, folders: Folders) -> Path:
    """Return where the logs stay: in the kept folder, or moved out of the temporary one."""
    if options.keep is not None or not folders.logs.is_dir():
        return folders.logs
    target = Path(tempfile.mkdtemp(prefix="towerwatch-demo-failed-"))
    for log in folders.logs.iterdir():
        shutil.move(log, target / log.name)
    return target


@dataclass(slots=True)
class _Demo:
    """One run of the demo, step by step."""

    options: DemoOptions
    folders: Folders
    family: Family
    console: Console
    stopped: threading.Event
    began_s: float = field(default_factory=time.monotonic)
    _login: str = ""
    _token: Secret | None = None

    def run(self) -> None:
        """Render, start everything, and watch."""
        broker_port, http_port, rtsp_port = demosite.free_ports(3)
        url = f"http://127.0.0.1:{self.options.port or http_port}"
        renders = self._start_renders()
        self._set_up(demosite.central_document(broker_port, self.options.port or http_port))
        self._await(renders, f"rendering {len(renders)} scenes", _RENDER_S)
        self._start_site(rtsp_port)
        if self.stopped.is_set() or self._token is None:
            self._interrupted()
            return
        self.console.print(f"console: {url}   {self._login}", soft_wrap=True)
        if self.options.browser and not self.options.once and _has_screen():
            webbrowser.open(url)
        kinds = demosite.KINDS
        with CentralWatch(url, self._token, kinds) as watch, _show(self.console, kinds) as show:
            self._watch(watch, show)

    def _start_renders(self) -> list[Child]:
        videos = self.folders.videos
        return [
            self.family.start(
                f"render-{scene}",
                towerwatch_command(*demosite.render_arguments(scene, self.options.seed, videos)),
                job=True,
            )
            for scene in demosite.scenes_to_render(videos)
        ]

    def _set_up(self, central: dict[str, Any]) -> None:
        """Enrol the box, get a token for ourselves, start central and wait until it serves."""
        config = demosite.write_yaml(self.folders.run / "central.yaml", central)
        base = ("central", "enrol", demosite.EDGE, "--site", demosite.SITE)
        enrol = (*base, "--plain", "--config", str(config), "--out", str(self.folders.enrolment))
        self._await(
            [self.family.start("enrol", towerwatch_command(*enrol), job=True)], "enrolling the box", _SETUP_S
        )
        create = ("central", "token", "create", "demo", "--role", "operator", "--config", str(config))
        if self.stopped.is_set():
            return
        token = self.family.start("token", towerwatch_command(*create), self._take_token, job=True)
        self._await([token], "getting a token", _SETUP_S)
        if not self.stopped.is_set():
            up = ("central", "up", "--embedded-broker", "--config", str(config))
            self._start_until("central", up, "serving")

    def _start_site(self, rtsp_port: int) -> None:
        """Serve the cameras and start the box."""
        if self.stopped.is_set():
            return
        serve = ("streams", "serve", str(self.folders.videos), "--port", str(rtsp_port))
        self._start_until("cameras", serve, "rtsp://")
        zones = {
            camera: demosite.zones_of(self.folders.videos / f"{scene}.truth.json")
            for camera, scene in demosite.SCENES.items()
        }
        document = demosite.edge_document(zones, rtsp_port, self.options.models_dir)
        config = demosite.write_yaml(self.folders.run / "edge.yaml", document)
        if not self.stopped.is_set():
            self.family.start("edge", towerwatch_command("edge", "run", str(config)))

    def _start_until(self, name: str, arguments: tuple[str, ...], word: str) -> None:
        """Start a part and wait until it prints a line with ``word``."""
        ready = threading.Event()

        def on_line(line: str) -> bool:
            if word in line:
                ready.set()
            return self._is_no_password(line)

        self.family.start(name, towerwatch_command(*arguments), on_line)
        deadline = time.monotonic() + _READY_S
        with self.console.status(f"starting {name}"):
            while not ready.wait(0.1) and not self.stopped.is_set():
                self.family.check()
                if time.monotonic() > deadline:
                    msg = f"{name} is not ready after {_READY_S:.0f} s"
                    raise DemoFailed(msg)

    def _await(self, children: list[Child], text: str, timeout_s: float) -> None:
        if children:
            with self.console.status(text):
                self.family.finish(children, self.stopped, timeout_s)

    def _take_token(self, line: str) -> bool:
        self._token = Secret(line.strip())
        return False

    def _is_no_password(self, line: str) -> bool:
        """Keep the first password in memory and out of the log."""
        if (found := _PASSWORD.search(line)) is None:
            return True
        Secret(found["password"])  # registered, so that no other log shows it
        self._login = f"log in as {found['name']} with password {found['password']}"
        return False

    def _watch(self, watch: CentralWatch, show: Callable[[CentralWatch, float], None]) -> None:
        unplaced = demosite.template("cameras.yaml")
        while not self.stopped.wait(_LOOK_S):
            self.family.check()
            watch.look()
            if unplaced:
                later = watch.place(demosite.EDGE, unplaced)
                unplaced = {camera: unplaced[camera] for camera in later}
            passed_s = time.monotonic() - self.began_s
            show(watch, passed_s)
            if not self.options.once:
                continue
            if watch.done:
                self.console.print(f"all three kinds are incidents with pictures after {passed_s:.0f} s")
                return
            if passed_s > TIME_LIMIT_S:
                msg = f"after {passed_s:.0f} s still missing: {watch.missing()}"
                raise DemoFailed(msg)
        self._interrupted()

    def _interrupted(self) -> None:
        if self.options.once:
            raise DemoFailed("interrupted before all three kinds were incidents")
        self.console.print("stopping")


def _has_screen() -> bool:
    """Say whether a browser can open a window here; a text browser would take the terminal."""
    return sys.platform in {"darwin", "win32"} or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


@contextmanager
def _show(console: Console, kinds: Mapping[str, str]) -> Iterator[Callable[[CentralWatch, float], None]]:
    """Give what shows the progress: a live table on a terminal, a line for each change elsewhere."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=False) as live:
            yield lambda watch, passed_s: live.update(_table(watch, kinds, passed_s), refresh=True)
        return
    shown: dict[str, str] = {}

    def report(watch: CentralWatch, passed_s: float) -> None:
        for kind, one in watch.progress.items():
            text = _state(one)
            if shown.get(kind) != text:
                shown[kind] = text
                console.print(f"{passed_s:5.0f} s  {kind}: {text}", soft_wrap=True)

    yield report


def _state(one: Progress) -> str:
    if one.incident_id is None:
        return "watching"
    return f"incident {one.incident_id}, {one.alerts} alerts, {one.pictures} pictures"


def _table(watch: CentralWatch, kinds: Mapping[str, str], passed_s: float) -> Table:
    states = watch.cameras()
    table = Table(title=f"Towerwatch demo, {passed_s:.0f} s; Ctrl-C ends it", title_justify="left")
    for heading in ("kind", "camera", "camera is", "incident", "pictures"):
        table.add_column(heading)
    for kind, camera in kinds.items():
        one = watch.progress[kind]
        number = "-" if one.incident_id is None else str(one.incident_id)
        table.add_row(kind, camera, states.get(camera, "starting"), number, str(one.pictures))
    if watch.trouble:
        table.caption = watch.trouble
    return table
