"""Children are watched, tell why they ended, and leave nobody behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from towerwatch.children import ChildFailed, Family, towerwatch_command
from towerwatch.secrets import Secret

SLEEP = "import time; time.sleep(60)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(said, what: str) -> None:
    deadline = time.monotonic() + 30
    while not said():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    children = Family(tmp_path / "logs")
    yield children
    children.stop(3.0)


def test_our_own_command_runs_this_installation() -> None:
    assert towerwatch_command("edge", "run") == [sys.executable, "-m", "towerwatch", "edge", "run"]


def test_what_a_child_says_is_in_its_log_and_in_the_error(family: Family) -> None:
    child = family.start(
        "talker", python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    )
    child.process.wait(30)
    with pytest.raises(ChildFailed, match="talker ended with code 3") as caught:
        family.check()
    assert str(family.log_dir / "talker.log") in str(caught.value)
    assert {"out", "err"} <= set(str(caught.value).splitlines())


def test_a_signal_is_named(family: Family) -> None:
    child = family.start("victim", python("import os; os.kill(os.getpid(), 9)"))
    child.process.wait(30)
    with pytest.raises(ChildFailed, match="victim was ended by signal 9"):
        family.check()


def test_a_tail_shows_no_secret(family: Family) -> None:
    Secret("hush-hush-777")
    child = family.start("talker", python("print('password is hush-hush-777')"))
    child.process.wait(30)
    assert child.tail() == "password is ***"


def test_a_missing_log_is_said(family: Family) -> None:
    child = family.start("talker", python("pass"), job=True)
    child.log.unlink()
    assert child.tail() == "(no log: No such file or directory)"


def test_lines_that_are_kept_back_are_not_in_the_log(family: Family) -> None:
    lines: list[str] = []

    def on_line(line: str) -> bool:
        lines.append(line)
        return "secret" not in line

    job = family.start("talker", python("print('one'); print('the secret'); print('two')"), on_line, job=True)
    family.finish([job], threading.Event(), 30)
    assert lines == ["one", "the secret", "two"]
    assert job.log.read_text() == "one\ntwo\n"


def test_a_job_that_is_done_is_no_failure(family: Family) -> None:
    job = family.start("job", python("pass"), job=True)
    job.process.wait(30)
    family.check()
    family.finish([job], threading.Event(), 30)
    assert family.stop(1.0) == ()


def test_a_job_that_fails_or_takes_too_long_is(family: Family) -> None:
    bad = family.start("bad", python("raise SystemExit(4)"), job=True)
    with pytest.raises(ChildFailed, match="bad ended with code 4"):
        family.finish([bad], threading.Event(), 30)
    slow = family.start("slow", python(SLEEP), job=True)
    with pytest.raises(ChildFailed, match="slow not done within 0 s"):
        family.finish([slow], threading.Event(), 0.2)


def test_waiting_ends_when_a_stop_is_asked_for(family: Family) -> None:
    slow = family.start("slow", python(SLEEP), job=True)
    stopped = threading.Event()
    stopped.set()
    family.finish([slow], stopped, 30)
    assert alive(slow.process.pid)


def test_what_cannot_be_started_is_said(family: Family) -> None:
    with pytest.raises(ChildFailed, match="ghost cannot be started: No such file"):
        family.start("ghost", ["/no/such/program"])


def test_children_stop_in_order_youngest_first(family: Family, tmp_path: Path) -> None:
    note = tmp_path / "order"
    code = (
        "import signal, sys, time, pathlib\n"
        f"def end(*_):\n  open({str(note)!r}, 'a').write(sys.argv[1]); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('ready'); time.sleep(60)\n"
    )
    for name in "abc":
        ready = threading.Event()
        family.start(name, [*python(code), name], lambda _line, ready=ready: ready.set() or True)
        assert ready.wait(30)
    assert family.stop(20.0) == ()
    assert note.read_text() == "cba"


def test_one_that_does_not_heed_is_killed_with_all_it_started(family: Family) -> None:
    pids: list[int] = []
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "sleep = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', sleep])\n"
        "print(child.pid); time.sleep(60)\n"
    )
    child = family.start("deaf", python(code), lambda line: bool(pids.append(int(line))))
    wait_until(lambda: pids, "the grandchild's pid")
    began = time.monotonic()
    assert family.stop(2.0) == ("deaf",)
    assert time.monotonic() - began < 8
    wait_until(lambda: not alive(child.process.pid) and not alive(pids[0]), "both are gone")


def test_what_a_child_left_behind_goes_too(family: Family) -> None:
    pids: list[int] = []
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}], stdout=2).pid)"
    child = family.start("parent", python(code), lambda line: bool(pids.append(int(line))), job=True)
    child.process.wait(30)
    wait_until(lambda: pids, "the grandchild's pid")
    family.stop(2.0)
    wait_until(lambda: not alive(pids[0]), "the orphan is gone")


def test_ctrl_c_in_the_terminal_does_not_reach_a_child(family: Family) -> None:
    child = family.start("child", python(SLEEP))
    assert os.getpgid(child.process.pid) == child.process.pid != os.getpgid(0)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
