"""What a view usually looks like, cell by cell, and how a picture differs from it: smoke is new.

The last visits are remembered as grids of brightness and local contrast. Against their medians a
cell is **veiled** where its texture has lost contrast more than its brightness explains: with the
veil's opacity ``a`` and colour ``S`` a pixel ``B`` becomes ``(1-a) B + a S`` (Koschmieder's airlight),
so contrast relative to brightness falls, while a cloud's shadow scales both alike. A cell is **paled**
where it has brightened more than what lies around it. Both are measured in units of the cell's own
usual variation, so that swaying trees, water and traffic are no news.

What has come over most of the width at once is weather, and so is what is left of it as it goes: a
patch of fog alone is as local as smoke.

Everything is a function of pictures and of the times they come with; no clock, no file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.glow import glows
from edge.lens import LensMemory
from edge.observe import Box
from streams.frame import Picture

CELL_PX = 8  # of a picture reduced to at least WORK_PX in width: a plume 20 px wide fills a cell or two
WORK_PX = 800
HORIZON_CELLS = 25
LAND_VISITS = 40  # what is land and what is sky is told by so many: clouds go, fog lifts
LAND_SHARE = 0.85  # of them must have seen land
SPECK_CELLS, SPECK_FRAC = 2, 0.03  # a smaller patch in a box, in cells and as a share of it, is noise
POINTED_FRAC, LARGER = 1 / 3, 6.0  # of the smaller of the two; and a box is no smaller a part of its patch
Grid = npt.NDArray[np.float32]
CellBox = tuple[int, int, int, int]
"""Left, top, right, bottom in cells, the latter two not included."""


@dataclass(frozen=True, slots=True)
class ReferenceTerms:
    """How long a view is remembered, and what counts as new. Levels of 0 to 255 unless said otherwise.

    Attributes:
        visits: as many are kept.
        spacing_s: two that are kept lie at least this far apart (or one interval of the camera).
        ripe_visits: from so many on the reference has a say.
        texture: a cell whose contrast is lower has no texture to lose: sky, water, far haze.
        veil: share of its contrast that a cell must lose, beyond what its brightness explains.
        pale: so much must a cell brighten beyond its surroundings.
        deviations: and both so many times the cell's usual deviation.
        upheaval: where more than this share of the view is new, it is another light or weather
            altogether, of which nothing local can be said.
        wide: weather reaches over at least this share of the columns of land,
        wide_land: and this share of its cells.
        weather_visits: so long a place is no longer new before it is free of weather.
        restart_visits: after so many of those in a row the reference starts anew.

    """

    visits: int = 15
    spacing_s: float = 20.0
    ripe_visits: int = 2
    texture: float = 2.5
    veil: float = 0.22
    pale: float = 5.0
    deviations: float = 3.0
    upheaval: float = 0.4
    wide: float = 0.85
    wide_land: float = 0.05
    weather_visits: int = 2
    restart_visits: int = 3


@dataclass(frozen=True, slots=True)
class Novelty:
    """What is new in one box, or in the patch of change that a box points at.

    A detector's box is half as large again as its smoke, or half as small, and beside it. What is new in
    one piece about it says better where the smoke is: ``place``, which all shares are about.

    Attributes:
        inside_frac: share of the box's cells of land that are veiled or paled; in the sky that is cloud.
        around_frac: the same for a belt around it, or for the rest of its rows where that is more: haze,
            rain, a change of light reach there too, and a bank of fog all along.
        steady_frac: of the box's cells that are new now, or were at the visit before, whichever are fewer,
            the share that is new both times: smoke grows, dust is elsewhere by then. None where that visit
            was the first, or could not be compared.
        foot_on_land: whether the box's lower edge, or what lies just below it, is land.
        on_lens: whether other presets of the same head show it there, too (:mod:`edge.lens`).
        place: where all this is, in [0, 1] of the frame.
        glows: whether it is wide and fades out on all sides, as light does (:mod:`edge.glow`).

    """

    inside_frac: float
    around_frac: float
    foot_on_land: bool
    steady_frac: float | None = None
    on_lens: bool = False
    place: Box | None = None
    glows: bool = False

    def stands_out(self, least_frac: float, *, told: bool = False) -> bool:
        """Whether at least so much of it is new, far less around it, and nothing there in other presets.

        Light does not; where smoke has been ``told``, a wide veil is taken for its own.
        """
        fresh = max(least_frac, 3.0 * self.around_frac)
        return not self.on_lens and self.inside_frac >= fresh and (told or not self.glows)


@dataclass(frozen=True, slots=True, eq=False)
class _Visit:
    at_s: float
    brightness: Grid
    contrast: Grid


@dataclass(frozen=True, slots=True, eq=False)
class _Usual:
    """Medians of the visits kept, and the median deviation of the two measures from them."""

    brightness: Grid
    contrast: Grid
    veil_spread: Grid
    pale_spread: Grid
    land: npt.NDArray[np.bool_]


@dataclass(slots=True)
class ViewReference:
    """The memory of one view. It is not written down: after a restart it ripens again."""

    interval_s: float
    terms: ReferenceTerms = field(default_factory=ReferenceTerms)
    preset: str = "fixed"
    lens: LensMemory = field(default_factory=LensMemory)
    _now_s: float = 0.0
    _visits: deque[_Visit] = field(default_factory=deque)
    _usual: _Usual | None = None
    _land_share: Grid | None = (
        None  # of the visits in which a cell looked like land; kept when all else is not
    )
    _seen_visits: int = 0
    _new: npt.NDArray[np.bool_] | None = None
    _veil: Grid | None = None
    _new_last: npt.NDArray[np.bool_] | None = None  # at the visit that was kept last
    _new_before: npt.NDArray[np.bool_] | None = None  # and at the one before the present
    _weather: npt.NDArray[np.uint8] | None = None  # visits left in which a cell's change is weather
    _upheavals: int = 0
    _patches: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]] | None = (
        None  # of what is new: labels, stats
    )

    @property
    def ripe(self) -> bool:
        """Whether enough visits are remembered for a judgement."""
        return len(self._visits) >= self.terms.ripe_visits

    def see(self, image: Picture, now_s: float, covered: Sequence[Box] = ()) -> None:
        """Compare a picture with what is usual, then remember it.

        Args:
            image: uint8 (height, width, 3) BGR, aligned with the ones before.
            now_s: monotonic seconds.
            covered: boxes under which candidates lie; what is there is not learnt.

        """
        visit = _measure(image, now_s)
        if self._land_share is not None and visit.brightness.shape != self._land_share.shape:
            self._forget()
            self._land_share, self._seen_visits = None, 0
        self._new, self._patches, self._now_s = None, None, now_s
        if self._usual is not None and self.ripe:
            new, self._veil = self._novel(visit, self._usual)
            self.lens.note(self.preset, now_s, new)
            if float(new.mean()) <= self.terms.upheaval:
                self._new = self._without_weather(new & self._usual.land, due=self._due(now_s))
        if not self._due(now_s):
            return
        self._new_before, self._new_last = self._new_last, self._new
        self._upheavals = self._upheavals + 1 if self.ripe and self._new is None else 0
        if self._upheavals >= self.terms.restart_visits:
            self._forget()
        self._remember(visit, covered)

    def _without_weather(self, new: npt.NDArray[np.bool_], *, due: bool) -> npt.NDArray[np.bool_]:
        """Return the new cells of land that neither are part of a wide change nor what is left of one."""
        terms, usual = self.terms, self._usual
        assert usual is not None  # noqa: S101 - the caller has looked
        weather = np.zeros(new.shape, np.uint8) if self._weather is None else self._weather
        columns = float(new.any(axis=0).sum()) / max(int(usual.land.any(axis=0).sum()), 1)
        wide = columns >= terms.wide and float(new.sum()) >= terms.wide_land * float(usual.land.sum())
        # it drifts by some cells from visit to visit
        near = cv2.dilate((weather > 0).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        touched = new if wide else new & near
        if due or wide:
            fading = np.maximum(weather, 1) - 1 if due else weather
            self._weather = np.where(touched, np.uint8(terms.weather_visits), fading).astype(np.uint8)
        return np.asarray(new & ~touched, np.bool_)

    def _forget(self) -> None:
        self._visits.clear()
        self._usual, self._upheavals = None, 0
        self._new_last = self._new_before = self._weather = None

    def _due(self, now_s: float) -> bool:
        spacing_s = max(self.terms.spacing_s, 0.9 * self.interval_s)
        return not self._visits or now_s - self._visits[-1].at_s >= spacing_s

    def novelty(self, box: Box) -> Novelty | None:
        """Say what is new within a box of the picture seen last; None where it could not be compared."""
        if self._new is None or self._usual is None:
            return None
        new, land = self._new, self._usual.land
        rows, columns = new.shape
        x1, y1, x2, y2 = self._patch(_cells(box, rows, columns))
        inside = (slice(y1, y2), slice(x1, x2))
        belt_x, belt_y = max(2, (x2 - x1) // 2), max(2, (y2 - y1) // 2)
        outer = (
            slice(max(0, y1 - belt_y), min(rows, y2 + belt_y)),
            slice(max(0, x1 - belt_x), min(columns, x2 + belt_x)),
        )
        n_in, new_in = int(land[inside].sum()), int(new[inside].sum())
        n_out, new_out = int(land[outer].sum()) - n_in, int(new[outer].sum()) - new_in
        around = new_out / n_out if n_out else 0.0
        aside = np.ones(columns, np.bool_)
        aside[outer[1]] = False
        along = new[y1:y2, aside][land[y1:y2, aside]]
        before = self._new_before
        steady = None if before is None else _kept(before[inside], new[inside])
        foot = land[max(0, y2 - 1) : min(rows, y2 + 2), x1:x2]
        return Novelty(
            inside_frac=new_in / n_in if n_in else 0.0,
            around_frac=max(around, float(along.mean()) if along.size else 0.0),
            steady_frac=steady,
            foot_on_land=bool(foot.size) and float(foot.mean()) > 0.3,
            on_lens=self.lens.shows(self.preset, self._now_s, new, inside, outer),
            place=(x1 / columns, y1 / rows, x2 / columns, y2 / rows),
            glows=self._glows(self._usual, inside),
        )

    def _glows(self, usual: _Usual, place: tuple[slice, slice]) -> bool:
        assert self._new is not None  # noqa: S101 - the caller has looked
        assert self._veil is not None  # noqa: S101 - measured along with it
        patch = np.zeros_like(self._new)
        patch[place] = self._new[place]
        return glows(self._veil, usual.land & (usual.contrast >= self.terms.texture), patch)

    def _patch(self, cells: CellBox) -> CellBox:
        """Return the patch of new cells that a box points at; the box itself where it points at none.

        A box points at a patch that holds a third of it, or of which it holds a third, and which is more
        than a speck in it.
        """
        assert self._new is not None  # noqa: S101 - the caller has looked
        if self._patches is None:
            joined = cv2.morphologyEx(self._new.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
            _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
            self._patches = (labels, stats)
        labels, stats = self._patches
        x1, y1, x2, y2 = cells
        counts = np.bincount(labels[y1:y2, x1:x2].ravel(), minlength=len(stats))
        counts[0] = 0
        best = int(counts.argmax())
        shared, size = int(counts[best]), int(stats[best, cv2.CC_STAT_AREA])
        area = (x2 - x1) * (y2 - y1)
        pointed = shared >= POINTED_FRAC * min(size, area) and size <= LARGER * area
        if shared < max(SPECK_CELLS, SPECK_FRAC * area) or not pointed:
            return cells
        left, top, width, height = (int(value) for value in stats[best, :4])
        return left, top, left + width, top + height

    def _novel(self, visit: _Visit, usual: _Usual) -> tuple[npt.NDArray[np.bool_], Grid]:
        veil, pale = _changes(visit, usual.brightness, usual.contrast)
        terms = self.terms
        veiled = (
            (usual.contrast >= terms.texture)
            & (veil >= terms.veil)
            & (veil >= terms.deviations * usual.veil_spread)
        )
        paled = (pale >= terms.pale) & (pale >= terms.deviations * usual.pale_spread)
        # where a cloud's shadow leaves, texture brightens with its cell; under smoke it does not
        paled &= (usual.contrast < terms.texture) | (np.abs(veil) >= terms.veil / 2)
        return np.asarray(veiled | paled, np.bool_), veil

    def _remember(self, visit: _Visit, covered: Sequence[Box]) -> None:
        if self._usual is not None:
            rows, columns = visit.brightness.shape
            for box in covered:
                x1, y1, x2, y2 = _cells(box, rows, columns)
                part = (slice(max(0, y1 - 1), y2 + 1), slice(max(0, x1 - 1), x2 + 1))
                visit.brightness[part] = self._usual.brightness[part]
                visit.contrast[part] = self._usual.contrast[part]
        self._visits.append(visit)
        while len(self._visits) > self.terms.visits:
            self._visits.popleft()
        usual = _usual(self._visits, self.terms)
        self._usual = replace(usual, land=self._by_now(_land(visit.brightness, visit.contrast, self.terms)))

    def _by_now(self, land: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return what was land at most visits: a cloud looks rough, but not for long at one place."""
        looks = land.astype(np.float32)
        self._seen_visits = min(self._seen_visits + 1, LAND_VISITS)
        share = looks if self._land_share is None else self._land_share
        self._land_share = np.asarray(share + (looks - share) / self._seen_visits, np.float32)
        return np.asarray(self._land_share >= LAND_SHARE, np.bool_)


def _measure(image: Picture, now_s: float) -> _Visit:
    """Reduce a picture to cells."""
    height, width = image.shape[:2]
    step = max(1, width // WORK_PX)
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if step > 1:
        gray = cv2.resize(gray, (width // step, height // step), interpolation=cv2.INTER_AREA)
    rows, columns = gray.shape[0] // CELL_PX, gray.shape[1] // CELL_PX
    level = gray[: rows * CELL_PX, : columns * CELL_PX].astype(np.float32)
    fine = level - cv2.boxFilter(level, -1, (2 * CELL_PX + 1, 2 * CELL_PX + 1))
    size = (columns, rows)
    brightness = cv2.resize(level, size, interpolation=cv2.INTER_AREA)
    power = cv2.resize(fine * fine, size, interpolation=cv2.INTER_AREA)
    noise = float(np.percentile(power, 2))  # the flattest cells hold nothing but noise
    contrast = np.sqrt(np.maximum(power - noise, 0.0))
    return _Visit(now_s, np.asarray(brightness, np.float32), np.asarray(contrast, np.float32))


def _changes(visit: _Visit, brightness: Grid, contrast: Grid) -> tuple[Grid, Grid]:
    """Return veil (share of contrast lost beyond brightness) and paling (levels beyond surroundings)."""
    ratio = (visit.brightness + 4.0) / (brightness + 4.0)
    kept = (visit.contrast + 0.5) / (contrast + 0.5)
    veil = 1.0 - kept / ratio
    lighter = visit.brightness - brightness * float(np.median(ratio))
    around = cv2.blur(lighter, (25, 25))
    return np.asarray(veil, np.float32), np.asarray(lighter - around, np.float32)


def _usual(visits: Sequence[_Visit] | deque[_Visit], terms: ReferenceTerms) -> _Usual:
    brightness = np.median([one.brightness for one in visits], axis=0).astype(np.float32)
    contrast = np.median([one.contrast for one in visits], axis=0).astype(np.float32)
    changes = [_changes(one, brightness, contrast) for one in visits]
    veil_spread = 1.48 * np.median([np.abs(veil) for veil, _ in changes], axis=0)
    pale_spread = 1.48 * np.median([np.abs(pale) for _, pale in changes], axis=0)
    return _Usual(
        brightness,
        contrast,
        np.asarray(veil_spread, np.float32),
        np.asarray(pale_spread, np.float32),
        _land(brightness, contrast, terms),
    )


def _land(brightness: Grid, contrast: Grid, terms: ReferenceTerms) -> npt.NDArray[np.bool_]:
    """Mark what is no sky: in each column all below the first texture or step seen from the top."""
    down = np.abs(np.diff(brightness, axis=0, prepend=brightness[:1]))
    rough = (contrast >= terms.texture) | (down >= 6.0)
    # two rough cells one below the other are land; a cloud's rim or a wire is one
    solid = rough & np.vstack([rough[1:], rough[-1:]])
    solid = cv2.medianBlur(solid.astype(np.uint8), 3)
    below = np.asarray(np.maximum.accumulate(solid, axis=0), np.bool_)
    # a horizon is steady from column to column: what towers over its neighbours is a cloud or a mast
    tops = below.shape[0] - below.sum(axis=0)
    padded = np.pad(tops, HORIZON_CELLS // 2, mode="edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, HORIZON_CELLS), axis=1)
    return np.asarray(below & (np.arange(below.shape[0])[:, None] >= usual[None] - 1), np.bool_)


def _kept(before: npt.NDArray[np.bool_], now: npt.NDArray[np.bool_]) -> float:
    fewer = min(int(before.sum()), int(now.sum()))
    return int((before & now).sum()) / fewer if fewer else 0.0


def _cells(box: Box, rows: int, columns: int) -> CellBox:
    """Return left, top, right, bottom of the cells that a box touches, at least one each way."""
    x1 = min(max(int(box[0] * columns), 0), columns - 1)
    y1 = min(max(int(box[1] * rows), 0), rows - 1)
    x2 = min(max(int(np.ceil(box[2] * columns)), x1 + 1), columns)
    y2 = min(max(int(np.ceil(box[3] * rows)), y1 + 1), rows)
    return x1, y1, x2, y2
