"""One labelled picture, and what can be wrong with one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

BoxArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture on disk with its boxes.

    Attributes:
        picture: the file.
        boxes: float64, shape (n, 4): left, top, right, bottom as fractions of the picture in [0, 1].
        labels: class name of each box, length n.
        group: what must never be torn apart by a split (a fire, a clip, a camera).
        source: id of the source in the recipe.

    """

    picture: Path
    boxes: BoxArray
    labels: tuple[str, ...]
    group: str
    source: str

    def __post_init__(self) -> None:
        """Check that boxes and labels agree; freeze the array."""
        if self.boxes.shape != (len(self.labels), 4):
            msg = f"{self.picture.name}: expected boxes ({len(self.labels)}, 4), got {self.boxes.shape}"
            raise ValueError(msg)
        self.boxes.flags.writeable = False


@dataclass(frozen=True, slots=True)
class DataProblem:
    """One picture or label line that is left out, and why."""

    file: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        """Render as ``file:line: message``."""
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


def box_array(rows: list[tuple[float, float, float, float]]) -> BoxArray:
    """Make an (n, 4) array, also of no rows."""
    return np.asarray(rows, np.float64).reshape(-1, 4)
