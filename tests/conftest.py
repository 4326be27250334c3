"""Fixtures that every test may use; see components.py for the real components behind them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import components
import hypothesis
import pytest
import structlog

# no test depends on speed: what hypothesis calls too slow is a busy machine
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves one of its own threads alive."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        # pools of libraries (asyncio's default executor, AnyIO's workers) belong to their libraries
        left = [
            thread
            for thread in threading.enumerate()
            if thread not in before
            and thread.is_alive()
            and not thread.name.startswith(
                ("asyncio_", "AnyIO worker thread", "ThreadPoolExecutor", "pytest_timeout")
            )
        ]
        if not left:
            return
        time.sleep(0.02)
    pytest.fail(f"threads left alive: {[thread.name for thread in left]}")


@pytest.fixture(autouse=True)
def logging_put_back() -> Iterator[None]:
    """Undo what a command run inside a test did to the logging of the process."""
    root, before = logging.getLogger(), structlog.get_config() if structlog.is_configured() else None
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data; skips where it is absent (it is never part of the project)."""
    folder = components.SHARED / "data"
    if not folder.is_dir():
        pytest.skip("real data (../shared/data) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Folder of third-party weights; skips where it is absent."""
    folder = components.SHARED / "weights"
    if not folder.is_dir():
        pytest.skip("third-party weights (../shared/weights) are not beside this checkout")
    return folder


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[components.Mosquitto]:
    """A plain anonymous Mosquitto of this test's own."""
    broker = components.Mosquitto(tmp_path / "mosquitto")
    with components.started(broker):
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[components.Postgres]:
    """One PostgreSQL cluster for the whole run."""
    cluster = components.Postgres()
    try:
        yield cluster.start()
    finally:
        cluster.remove()


@pytest.fixture
def postgres_url(postgres: components.Postgres, request: pytest.FixtureRequest) -> str:
    """SQLAlchemy URL of an empty database of this test's own."""
    name = "t_" + "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[:40]
    return postgres.new_database(name)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of Debian's Chromium."""
    return components.chromium()
