"""What a newcomer sees first: three rendered cameras, three kinds of incident, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from components import towerwatch

pytestmark = pytest.mark.e2e


def processes_of(mark: str) -> list[str]:
    """Return the command lines of processes whose environment carries a mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"TOWERWATCH_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:  # it ended meanwhile, or belongs to another user
            continue
    return found


@pytest.mark.timeout(420)
def test_the_demo_shows_all_three_kinds_and_leaves_nothing(tmp_path: Path) -> None:
    mark = f"demo-{os.getpid()}"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        towerwatch("demo", "--once", "--no-browser"),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env={**os.environ, "TOWERWATCH_TEST_MARK": mark, "TMPDIR": str(scratch)},
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert processes_of(mark) == []
    assert list(scratch.iterdir()) == [], "files were left behind"
