"""The front door loads only the room that is called, and ends with a clear line and code."""

from __future__ import annotations

import errno
import subprocess
import sys
from types import SimpleNamespace

import components
import pytest
import typer
from typer.testing import CliRunner

from towerwatch import cli
from towerwatch.errors import ConfigError, Problem, TowerwatchError


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch):
    """Put a room with one command that raises what the test wants behind ``edge``."""

    def build(error: BaseException | None) -> None:
        app = typer.Typer()

        @app.command()
        def check() -> None:
            if error is not None:
                raise error
            typer.echo("fine")

        monkeypatch.setattr(cli.importlib, "import_module", lambda _name: SimpleNamespace(app=app))

    return build


def test_help_names_every_room_and_imports_none() -> None:
    code = (
        "import sys; from towerwatch.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('edge', 'alerts', 'models', 'streams', 'cv2', 'av') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert all(name in done.stdout for name in cli.ROOMS)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_edge_needs_no_web_stack_and_no_torch() -> None:
    code = (
        "import sys, importlib; importlib.import_module('edge.cli'); from typer.main import get_command\n"
        "print([m for m in ('nicegui', 'fastapi', 'sqlalchemy', 'torch', 'ultralytics') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_version_is_that_of_the_distribution() -> None:
    done = subprocess.run(
        components.towerwatch("--version"), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip().partition(" ")[0] == "towerwatch"


def test_an_unknown_room_is_a_usage_error() -> None:
    result = CliRunner().invoke(cli.app, ["egde"])
    assert result.exit_code == 2
    assert "egde" in result.output


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        pytest.param(None, 0, "fine", id="success"),
        pytest.param(
            ConfigError([Problem("site.yaml", 3, "cameras[0].url", "is missing")]),
            2,
            "site.yaml:3: cameras[0].url: is missing",
            id="configuration",
        ),
        pytest.param(ConfigError("no cameras"), 2, "no cameras", id="configuration-sentence"),
        pytest.param(
            TowerwatchError("rtsp://u:secret-word@h refused"),
            1,
            "error: rtsp://u:***@h refused",
            id="known-error-redacted",
        ),
        pytest.param(
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/far/away"),
            1,
            "error: /far/away: No such file or directory",
            id="a file that is not there",
        ),
        pytest.param(
            IsADirectoryError(errno.EISDIR, "Is a directory", "a.part", None, "a"),
            1,
            "error: a.part -> a: Is a directory",
            id="two files",
        ),
        pytest.param(
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "error: [Errno 28] No space left on device",
            id="a full disk",
        ),
    ],
)
def test_our_errors_are_one_line_and_an_exit_code(room, error, code: int, shown: str) -> None:
    room(error)
    result = CliRunner().invoke(cli.app, ["edge"])
    assert result.exit_code == code
    assert shown in result.output
    assert "Traceback" not in result.output


def test_a_reader_that_went_away_is_no_error_to_report(room) -> None:
    room(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    result = CliRunner().invoke(cli.app, ["edge"])
    assert result.exit_code == 1
    assert "Broken pipe" not in result.output


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'nicegui.ui'", name="nicegui.ui")

    monkeypatch.setattr(cli.importlib, "import_module", absent)
    result = CliRunner().invoke(cli.app, ["central"])
    assert result.exit_code == 1
    assert "central needs the package nicegui: pip install 'towerwatch[central]'" in result.output


def test_a_defect_of_our_own_is_not_called_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'alerts.nothing'", name="alerts.nothing")

    monkeypatch.setattr(cli.importlib, "import_module", broken)
    assert isinstance(CliRunner().invoke(cli.app, ["central"]).exception, ModuleNotFoundError)
