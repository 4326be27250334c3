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

Place = tuple[slice, slice]
"""Rows and columns of cells, with start and stop."""

PRESETS = 2  # so many others must show it at least
PRESETS_FRAC = 1 / 3  # and so many of all; two far fires at one height of their pictures are no drop
SHARED_FRAC = 0.6  # of the new cells, in each of them
MOST_AROUND = 0.3  # of the density inside may lie around it
MEMORY_S = 3600.0  # what has been new at two visits stays known so long, though a view may get used to it
VISIT_S = 20.0  # two visits lie at least so far apart


@dataclass(slots=True)
class _Preset:
    """A preset's last visit, and when each cell was last found new at two visits in a row."""

    at_s: float
    new: Cells
    stood_s: npt.NDArray[np.float64]


@dataclass(slots=True)
class LensMemory:
    """The last visits of one camera's presets."""

    _presets: dict[str, _Preset] = field(default_factory=dict)

    def note(self, preset: str, at_s: float, new: Cells) -> None:
        """Remember what is new in a view, at monotonic seconds."""
        known = self._presets.get(preset)
        if known is None or known.new.shape != new.shape:
            self._presets[preset] = _Preset(at_s, new, np.full(new.shape, -np.inf))
        elif at_s - known.at_s >= VISIT_S:
            known.stood_s[known.new & new] = at_s
            known.at_s, known.new = at_s, new

    def shows(self, preset: str, at_s: float, new: Cells, place: Place, belt: Place) -> bool:
        """Whether other presets show at a place, and not in the belt around it, what is new there in one.

        Light and weather reach beyond the place in them. False where nothing is new.
        """
        here = new[place]
        least = max(1.0, SHARED_FRAC * int(here.sum()))
        others = alike = 0
        for name, known in self._presets.items():
            if name == preset or at_s - known.at_s > MEMORY_S or known.new.shape != new.shape:
                continue
            there = known.new[belt] | (at_s - known.stood_s[belt] <= MEMORY_S)
            top, left = place[0].start - belt[0].start, place[1].start - belt[1].start
            inside = there[top : top + here.shape[0], left : left + here.shape[1]]
            around = int(there.sum()) - int(inside.sum())
            stands_out = around * inside.size <= MOST_AROUND * int(inside.sum()) * (there.size - inside.size)
            others += 1
            alike += stands_out and int((here & inside).sum()) >= least
        return alike >= max(PRESETS, PRESETS_FRAC * others)
