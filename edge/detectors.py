"""Open the detectors that a configuration names, in the way found best on this box or in the manifest's."""

from __future__ import annotations

import subprocess
import sys

from edge.config import EdgeConfig
from models.load import load_detector, precision_of
from models.network import NetworkDetector
from models.registry import FoundModel, find_model
from models.runtimes import DEFAULT_BATCH
from models.tune import LIMIT_S, Way, Wish, kept
from towerwatch.logs import get_logger

log = get_logger(__name__)

GIVE_UP_S = 6 * LIMIT_S  # a slow disk and a first compilation included


def open_detector(config: EdgeConfig, name: str, *, tuned: bool = False) -> NetworkDetector:
    """Load the detector that rules call ``name``.

    Args:
        config: of the box.
        name: as rules spell it.
        tuned: run it as was found best on this box; otherwise, as replays must, in the manifest's own
            way, which is the same everywhere.

    Raises:
        ModelError: it cannot be loaded; see :func:`models.load.load_detector`.

    """
    options = config.model_config_of(name)
    way = kept_way(config, name) if tuned and config.tune else None
    return load_detector(
        options.model or name,
        models_dir=config.models_dir,
        runtime=options.runtime if way is None else way.runtime,
        provider=options.provider,
        precision=options.precision if way is None else way.precision,
        threads=options.threads or (1 if way is None else way.threads),
        batch=DEFAULT_BATCH if way is None else way.batch,
        confidence=config.confidence_of(name),
    )


def kept_way(config: EdgeConfig, name: str) -> Way | None:
    """Return how a model was found to run best on this box; None where it was not measured yet."""
    found, wish = _wanted(config, name)
    entry = kept(config.data_dir, found, wish)
    return None if entry is None else entry.way


def tune_if_new(config: EdgeConfig, name: str) -> None:
    """Measure a model that this box does not know yet; where that fails it runs in the manifest's way.

    It is done by a process of its own: a runtime that this CPU makes crash takes no worker along, and
    the memory of runtimes that were only tried is given back.
    """
    found, wish = _wanted(config, name)
    if kept(config.data_dir, found, wish) is not None:
        return
    command = [sys.executable, "-m", "towerwatch", "models", "tune", str(found.folder)]
    command += ["--data-dir", str(config.data_dir), "--runtime", wish.runtime, "--provider", wish.provider]
    command += [] if wish.precision is None else ["--precision", wish.precision]
    command += [] if wish.threads is None else ["--threads", str(wish.threads)]
    failed = ""
    try:
        done = subprocess.run(command, capture_output=True, timeout=GIVE_UP_S, check=False)
        if done.returncode:
            failed = f"exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()[-300:]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        failed = str(error)
    entry = kept(config.data_dir, found, wish)
    if entry is None:
        log.warning("model runs untuned", model=found.manifest.reference, why=failed)
    else:
        log.info("model tuned", model=found.manifest.reference, **entry.way.model_dump())


def _wanted(config: EdgeConfig, name: str) -> tuple[FoundModel, Wish]:
    options = config.model_config_of(name)
    found = find_model(options.model or name, config.models_dir)
    precision = precision_of(options.precision)
    return found, Wish(options.runtime, options.provider, precision, options.threads)
