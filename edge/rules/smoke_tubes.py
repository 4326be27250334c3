"""Votes joined over time at one place of a view: their weight, growth, and whether the foot stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.observe import Box
from edge.shapes import area, iou, overlap_of_smaller
from towerwatch.timebase import parse_utc

JOIN_IOU = 0.1  # plumes have no edge (pyro-engine's figure)
JITTER = 0.15  # of a box's size: so far its sides are off (configs/errors/smoke.yaml)
JOIN_INSIDE = 0.6  # or one box lies within the other: a young plume within its grown self
CHANGED_FRAC = 0.08  # of a box is new where it shows smoke's course
FOOT_SHARE = 0.8
FOOT_OVERLAP = 0.5
STEADY_FRAC = 0.5
VISIT_S = 20.0  # what is kept of a view lies so far apart at least
ENDS = 3  # boxes averaged at the beginning and the end of a tube, against the jitter of single ones


@dataclass(frozen=True, slots=True)
class Vote:
    """One sample that saw smoke at the tube's place.

    Attributes:
        at_s, at: monotonic seconds and aware UTC.
        box: in [0, 1] of the frame.
        confidence: the detector's own; None where it missed what the view's change still shows.
        strong: whether that reaches the rule's threshold.
        new_frac: share of the box that is new against the view's reference; None where nobody can say.
        steady_frac: share of that which was new at the visit before; None where nobody can say.
        place: where what is new lies, which holds still where boxes jitter; the box itself where nothing is.

    """

    at_s: float
    at: datetime
    box: Box
    confidence: float | None
    strong: bool
    new_frac: float | None = None
    steady_frac: float | None = None
    place: Box | None = None

    @property
    def where(self) -> Box:
        """The place if it is known, else the box."""
        return self.box if self.place is None else self.place

    @property
    def weight(self) -> int:
        """Count two where the detector is sure."""
        return 2 if self.strong else 1


@dataclass(slots=True, eq=False)
class Tube:
    """The votes of one place within the window, oldest first."""

    key: str
    votes: list[Vote]
    since: datetime
    born_s: float
    reported: bool = False
    alarmed: bool = False
    seen_weight: int = 0  # of the detector's own votes since the tube began
    doubted: bool = False  # would have alarmed had nobody dismissed the place before
    course: Box | None = None  # around all its boxes in which the view had changed

    def add(self, vote: Vote) -> None:
        """Take one more vote."""
        self.votes.append(vote)
        if vote.confidence is not None:
            self.seen_weight += vote.weight
            if (vote.new_frac or 0.0) >= CHANGED_FRAC:
                self.course = vote.box if self.course is None else _around(self.course, vote.box)

    @property
    def box(self) -> Box:
        """Where it was seen last."""
        return self.votes[-1].box

    @property
    def confidence(self) -> float:
        """Mean of the detector's confidence over what it saw; 0 where that has left the window."""
        seen = [vote.confidence for vote in self.votes if vote.confidence is not None]
        return sum(seen) / len(seen) if seen else 0.0

    @property
    def sightings(self) -> int:
        """Votes that the detector had a part in."""
        return sum(vote.confidence is not None for vote in self.votes)

    @property
    def weight(self) -> int:
        """Sum of the votes' weights."""
        return sum(vote.weight for vote in self.votes)

    @property
    def strong(self) -> int:
        """Votes that the detector alone is sure of."""
        return sum(vote.strong for vote in self.votes)

    @property
    def new_frac(self) -> float | None:
        """Mean share of the boxes that is new; None where nobody could say."""
        known = [vote.new_frac for vote in self.votes if vote.new_frac is not None]
        return sum(known) / len(known) if known else None

    def overlap(self, box: Box) -> float:
        """Return how well a box fits; 0 where it does not belong."""
        fits = [max(iou(vote.where, box), 1e-3) for vote in self.votes[-8:] if _belong(vote.where, box)]
        return max(fits, default=0.0)

    def has_told_of(self, box: Box) -> bool:
        """Whether an alert has been raised of smoke that has stood, or drifted, where a box lies.

        Now its foot is found, now what the wind has carried off, and no look may show both.
        """
        if not self.alarmed or self.course is None or area(box) > area(self.course):
            return False
        return overlap_of_smaller(self.course, box) >= JOIN_INSIDE

    def foot_stays(self) -> bool:
        """Whether it still burns where it began: nearly all boxes that were seen stand on one place.

        Dust travels with its harvester, a cloud with the wind; of smoke only the head does.
        """
        spans = [_grown(vote.where) for vote in self._seen()]
        # a place that most of them share begins at the left side of one of them
        together = max((sum(low <= left <= high for low, high in spans) for left, _ in spans), default=0)
        return together >= FOOT_SHARE * len(spans) and overlap_of_smaller(*self._ends()) >= FOOT_OVERLAP

    def is_steady(self) -> bool:
        """Whether what is new stays new from visit to visit; nobody contradicts where none can say."""
        first_s = self.votes[0].at_s
        known = [
            vote.steady_frac
            for vote in self.votes
            if vote.steady_frac is not None and vote.at_s - first_s >= VISIT_S
        ]
        late = known[len(known) // 2 :]  # in the first of them it had just begun
        return not late or sum(late) / len(late) >= STEADY_FRAC

    def growth_ratio(self) -> float:
        """Return the area of the last boxes over that of the first; one that was not seen has none."""
        first, last = self._ends()
        return area(last) / max(area(first), 1e-9)

    def _seen(self) -> list[Vote]:
        return [vote for vote in self.votes if vote.confidence is not None] or self.votes

    def _ends(self) -> tuple[Box, Box]:
        boxes = [vote.where for vote in self._seen()]
        return _mean(boxes[:ENDS]), _mean(boxes[-ENDS:])

    def dump(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "key": self.key,
            "since": self.since.isoformat(),
            "born_s": self.born_s,
            "reported": self.reported,
            "alarmed": self.alarmed,
            "doubted": self.doubted,
            "seen_weight": self.seen_weight,
            "course": self.course,
            "votes": [
                [
                    v.at_s,
                    v.at.isoformat(),
                    list(v.box),
                    v.confidence,
                    v.strong,
                    v.new_frac,
                    v.steady_frac,
                    v.place,
                ]
                for v in self.votes
            ],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Tube:
        """Read back what :meth:`dump` wrote."""
        votes = [
            Vote(at_s, parse_utc(at), _box(box), confidence, bool(strong), new, steady, place and _box(place))
            for at_s, at, box, confidence, strong, new, steady, place in state["votes"]
        ]
        return cls(
            key=str(state["key"]),
            votes=votes,
            since=parse_utc(state["since"]),
            born_s=float(state["born_s"]),
            reported=bool(state["reported"]),
            alarmed=bool(state["alarmed"]),
            doubted=bool(state["doubted"]),
            seen_weight=int(state["seen_weight"]),
            course=None if state["course"] is None else _box(state["course"]),
        )


def _box(sides: Sequence[float]) -> Box:
    x1, y1, x2, y2 = sides
    return (x1, y1, x2, y2)


def _around(one: Box, other: Box) -> Box:
    """Return the least box that holds both."""
    return (min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3]))


def _belong(one: Box, other: Box) -> bool:
    """Whether two boxes may be of one plume: as jittered as they are, and one perhaps when it was young."""
    return iou(one, other) >= JOIN_IOU or overlap_of_smaller(_wider(one), _wider(other)) >= JOIN_INSIDE


def _wider(box: Box) -> Box:
    x, y = JITTER * (box[2] - box[0]), JITTER * (box[3] - box[1])
    return (box[0] - x, box[1] - y, box[2] + x, box[3] + y)


def _grown(box: Box) -> tuple[float, float]:
    """Return a box's left and right, a tenth wider to each side against its jitter."""
    more = 0.1 * (box[2] - box[0])
    return box[0] - more, box[2] + more


def _mean(boxes: Sequence[Box]) -> Box:
    n = len(boxes)
    x1, y1, x2, y2 = (sum(box[side] for box in boxes) / n for side in range(4))
    return (x1, y1, x2, y2)
