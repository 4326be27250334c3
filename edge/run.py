"""``towerwatch edge run``: one box in the foreground, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path
from types import FrameType

from edge.config import load_config
from edge.links import resolve_links
from edge.sdnotify import Notifier
from edge.supervisor import BoxPaths, Supervisor, SupervisorTerms
from towerwatch.errors import ConfigError
from towerwatch.logs import configure_logging, get_logger

log = get_logger(__name__)


def run_edge(config_file: Path, *, log_level: str = "INFO", terms: SupervisorTerms | None = None) -> None:
    """Run the box until a signal asks for the stop. Call it from the main thread.

    Raises:
        ConfigError: the configuration cannot be used, or another process owns the data folder.
        RetryableError: the database cannot be opened now.

    """
    configure_logging("edge", level=log_level)
    config = load_config(config_file)
    links = resolve_links(config)
    links.broker.tls()  # an unusable certificate is a configuration error now, not a retry for ever
    links.central.tls()
    try:
        digest = hashlib.sha256(config_file.read_bytes()).hexdigest()
    except OSError as error:
        msg = f"{config_file}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from None
    box = Supervisor(
        config,
        links,
        BoxPaths(config_file.resolve(), digest),
        terms=terms,
        notifier=Notifier.from_environment(),
        log_level=log_level,
    )

    def on_signal(number: int, _frame: FrameType | None) -> None:
        del number
        box.stop()

    former = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        box.run()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
