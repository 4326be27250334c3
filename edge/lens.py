"""What several views of one head show at the same place of the picture: it is on the lens or in it.

A drop, dirt, an insect or the veil of a sun beside the picture stays where it is in the picture while
the head turns; smoke does not. What is new in a view is held against what was new at the last visits of
the other presets, cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.bool_]
"""bool (rows, columns): what is new in a picture, by cells of :mod:`edge.reference`."""

PRESETS = 2  # so many others must show it at least
PRESETS_FRAC = 1 / 3  # and so many of all; two far fires at one height of their pictures are no drop
SHARED_FRAC = 0.4  # of the new cells, of either picture
MEMORY_S = 1800.0  # an older visit says nothing of now


@dataclass(slots=True)
class LensMemory:
    """The last visits of one camera's presets."""

    _seen: dict[str, tuple[float, Cells]] = field(default_factory=dict)

    def note(self, preset: str, at_s: float, new: Cells) -> None:
        """Remember what is new in a view, at monotonic seconds."""
        self._seen[preset] = (at_s, new)

    def shows(self, preset: str, at_s: float, new: Cells, place: tuple[slice, slice]) -> bool:
        """Whether other presets show at a place just what is new there in one; False where nothing is."""
        here = new[place]
        others = [
            seen[place]
            for name, (seen_s, seen) in self._seen.items()
            if name != preset and at_s - seen_s <= MEMORY_S and seen.shape == new.shape
        ]
        alike = 0
        for there in others:
            shared, most = int((here & there).sum()), int(max(here.sum(), there.sum()))
            alike += most > 0 and shared >= SHARED_FRAC * most
        return alike >= max(PRESETS, PRESETS_FRAC * len(others))
