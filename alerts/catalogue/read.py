"""Read a catalogue from any file that people keep one in: whole, or not at all."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from alerts.catalogue.document import read_yaml
from alerts.catalogue.model import Catalogue
from alerts.catalogue.rows import read_rows
from alerts.mistakes import Mistake
from towerwatch.errors import ConfigError, Problem

READERS = {".yaml": read_yaml, ".yml": read_yaml, ".csv": read_rows, ".xlsx": read_rows}


def read_catalogue(path: Path) -> Catalogue:
    """Read YAML, CSV or XLSX.

    Raises:
        ConfigError: one problem for each thing that is wrong, with line and key, or row and column.

    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        msg = Mistake.of("file_ending", endings=", ".join(READERS))
        raise ConfigError([Problem(str(path), None, "", msg)])
    return reader(path)


def starter_path() -> Path:
    """Return the catalogue that we ship."""
    return Path(str(files("configs") / "catalogue" / "starter.yaml"))
