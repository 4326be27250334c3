"""The demo's own part, with ``towerwatch`` played by a script: order, ends, logs, and what is left behind."""

from __future__ import annotations

import io
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import fake_towerwatch
import pytest
from rich.console import Console

from towerwatch import demo
from towerwatch.demo import DemoFailed, DemoOptions, run_demo


class World:
    """A place for temporary files of its own, the console's text, and the event that ends the demo."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self.text = io.StringIO()
        self.stopped = threading.Event()

    def run(self, *, terminal: bool = False, **options: object) -> str:
        console = Console(file=self.text, width=200, force_terminal=terminal, highlight=False, markup=False)
        run_demo(DemoOptions(**{"browser": False, **options}), self.stopped, console)  # type: ignore[arg-type]
        return self.text.getvalue()

    def left_over(self) -> list[Path]:
        return sorted(self.temporary.iterdir())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(demo, "_LOOK_S", 0.05)
    monkeypatch.setattr(
        demo, "towerwatch_command", lambda *arguments: [sys.executable, fake_towerwatch.__file__, *arguments]
    )
    return World(temporary)


def running() -> list[str]:
    """Command lines of our fakes that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "fake_towerwatch.py" in line and int(entry.parent.name) != os.getpid():
            found.append(line)
    return found


@pytest.mark.parametrize("terminal", [False, True])
def test_once_ends_when_all_three_are_incidents_with_pictures(world: World, terminal: bool) -> None:
    text = world.run(once=True, terminal=terminal)
    assert "all three kinds are incidents with pictures" in text
    assert f"with password {fake_towerwatch.PASSWORD}" in text
    assert "incident 7" in text or terminal
    assert world.left_over() == []
    assert running() == []


def test_kept_files_hold_neither_password_nor_token(world: World, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    world.run(once=True, keep=keep)
    world.run(once=True, keep=keep)
    logs = sorted(keep.glob("run-*/logs/*.log"))
    assert {log.stem for log in logs} >= {"central", "edge", "cameras", "enrol", "token", "render-road"}
    for file in keep.rglob("*"):
        if file.is_file():
            assert fake_towerwatch.PASSWORD.encode() not in file.read_bytes()
            assert fake_towerwatch.TOKEN.encode() not in file.read_bytes()
    assert len(list(keep.rglob("render-road.log"))) == 1, "videos of the same seed are used again"


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        pytest.param("edge-dies", ["edge ended with code 2", "no model 'smoke'"], id="edge"),
        pytest.param("render-fails", ["ended with code 3", "no paint left"], id="render"),
    ],
)
def test_a_part_that_dies_ends_the_demo_with_its_last_words(
    world: World, monkeypatch: pytest.MonkeyPatch, mode: str, said: list[str]
) -> None:
    monkeypatch.setenv("FAKE_TOWERWATCH", mode)
    with pytest.raises(DemoFailed) as caught:
        world.run()
    for words in said:
        assert words in str(caught.value)
    (logs,) = world.left_over()
    assert str(caught.value).endswith(f"logs: {logs}")
    assert "central.log" in {log.name for log in logs.iterdir()}
    assert running() == []


def test_time_that_is_up_names_what_is_missing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TOWERWATCH", "no-smoke")
    monkeypatch.setattr(demo, "TIME_LIMIT_S", 0.0)
    with pytest.raises(DemoFailed, match="still missing: smoke: no incident") as caught:
        world.run(once=True)
    assert "blocked_road" not in str(caught.value)
    assert running() == []


def test_central_that_never_serves_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TOWERWATCH", "silent")
    monkeypatch.setattr(demo, "_READY_S", 1.0)
    with pytest.raises(DemoFailed, match="central is not ready after 1 s"):
        world.run(once=True)
    assert running() == []


@pytest.mark.parametrize("once", [False, True])
def test_a_stop_ends_everything_in_time(world: World, monkeypatch: pytest.MonkeyPatch, once: bool) -> None:
    monkeypatch.setenv("FAKE_TOWERWATCH", "no-smoke")
    failure: list[BaseException] = []

    def body() -> None:
        try:
            world.run(once=once)
        except DemoFailed as error:
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    deadline = time.monotonic() + 60
    while "incident 7" not in world.text.getvalue() and time.monotonic() < deadline:
        time.sleep(0.05)
    began = time.monotonic()
    world.stopped.set()
    thread.join(15)
    assert not thread.is_alive()
    assert time.monotonic() - began < 10
    assert running() == []
    assert bool(failure) is once, (
        "interrupted before its end, --once has failed; otherwise it is how to end it"
    )


def test_a_stop_before_anything_runs_starts_no_more(world: World) -> None:
    world.stopped.set()
    assert "stopping" in world.run()
    assert "console:" not in world.text.getvalue()
    assert world.left_over() == []
    assert running() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_ask_for_the_stop_and_are_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with demo._until_signal() as stopped:
        os.kill(os.getpid(), number)
        assert stopped.wait(5)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("variable", "screen"), [("DISPLAY", True), (None, sys.platform in {"darwin", "win32"})]
)
def test_a_browser_is_opened_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, screen: bool
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, ":0")
    assert demo._has_screen() is screen
