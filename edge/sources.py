"""One model in one view: when it is asked, and what it last saw there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge.attention import Attention
from edge.config import GateConfig, ViewConfig
from edge.gate import Cells, Decision, Gate, Why, grid_of, relevant_cells
from edge.observe import Box
from edge.rule_config import AnyRuleConfig
from edge.shapes import Zone
from edge.tile_plan import TilePlanner
from models.detections import Detections
from models.detector import Detector
from models.tiles import detect_through
from streams.frame import Frame

MASKED_FRAC = 0.5  # a box that lies this far under masks does not count


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What a model sees in a view: boxes in pixels, and which of them are carried over (None: none)."""

    detections: Detections
    carried: npt.NDArray[np.bool_] | None


@dataclass(slots=True)
class ViewSource:
    """A detector with its gate, for the rules of one view that use it."""

    detector: Detector
    view: ViewConfig
    rules: Sequence[AnyRuleConfig]
    config: GateConfig
    planner: TilePlanner | None = None
    _gate: Gate = field(init=False)
    _attention: Attention = field(init=False)
    _last: Detections | None = None
    _relevant: Cells | None = None

    def __post_init__(self) -> None:
        """Make the gate, and what chooses the part that is shown."""
        forced_s = self.config.forced_look_s if self.config.enabled else 0.0
        self._gate = Gate(forced_s)
        self._attention = Attention(self._zones, self.labels, forced_s)

    @property
    def _zones(self) -> list[Zone]:
        """The zones of all rules, none where one of them watches the whole view."""
        named = [rule.zone for rule in self.rules]
        return [] if None in named else [self.view.zone(zone) for zone in named if zone is not None]

    @property
    def labels(self) -> list[str]:
        """The labels that the rules want, sorted."""
        return sorted({label for rule in self.rules for label in rule.labels})

    def decide(self, frame: Frame, now_s: float, *, awaited: bool) -> Decision:
        """Say whether the model is to see a frame; ``awaited``: a candidate waits for its word."""
        relevant = self._relevant
        if relevant is None or relevant.shape != grid_of(frame.reduced):
            relevant = self._relevant = relevant_cells(grid_of(frame.reduced), self._zones, self.view.masks)
        saw_smoke = self._saw_smoke()
        return self._gate.judge(frame.reduced, relevant, now_s, wanted=saw_smoke, awaited=awaited)

    def _saw_smoke(self) -> bool:
        """Whether it saw what may be smoke: that is decided by votes, and a vote is never carried over."""
        kinds = {rule.kind for rule in self.rules}
        return "smoke" in kinds and self._last is not None and len(self._last.with_labels(self.labels)) > 0

    def look(self, decision: Decision, frame: Frame, now_s: float) -> Detections:
        """Show the model the frame, and the tiles that are planned; raises whatever a detector raises."""
        if self.planner is None:
            return self._attention.look(self.detector, frame, now_s)
        # at the first look everything is new, which says nothing of where something has changed
        changed = np.zeros_like(decision.cells) if decision.why is Why.FIRST else decision.cells
        tiles = self.planner.plan(frame, changed, now_s)
        found = detect_through(self.detector, frame.image, tiles)
        self.planner.saw(found.with_labels(self.labels))
        return found

    def take(self, decision: Decision, frame: Frame, now_s: float, found: Detections | None) -> Sight:
        """Take what the model found in the whole frame; None where it was not asked."""
        self._gate.note(decision, frame.reduced, now_s)
        if found is not None:
            self._last = without_masked(found, self.view, (frame.width_px, frame.height_px))
            return Sight(self._last, None)
        last = self._last if self._last is not None else Detections.empty(self.detector.labels)
        return Sight(last, np.ones(len(last), np.bool_))


def without_masked(found: Detections, view: ViewConfig, size_px: tuple[int, int]) -> Detections:
    """Drop the boxes that lie at least half under the view's masks."""
    if not view.masks or not len(found):
        return found
    keep = [
        sum(mask.covers_frac(to_frac(row, size_px)) for mask in view.masks) < MASKED_FRAC
        for row in found.xyxy
    ]
    return found.select(np.asarray(keep, np.bool_))


def to_frac(row: npt.NDArray[np.float32], size_px: tuple[int, int]) -> Box:
    """Turn one box in pixels, shape (4,), into fractions of the frame."""
    width, height = size_px
    return (float(row[0]) / width, float(row[1]) / height, float(row[2]) / width, float(row[3]) / height)
