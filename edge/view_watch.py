"""Whether a camera still shows the view that its zones were drawn for, and how far it has shifted.

Each preset has an anchor, its outlines as they were first seen or as a reference picture shows them,
and a recent picture that follows the light: dusk and weather come by steps that agree with the one
before. What agrees at a distance was turned; what agrees with another preset is the wrong one; what
is rich in outlines and agrees with nothing shows something else. Fog and night are poor in outlines
and give no verdict, for they come by steps; outlines that are gone from one picture to the next are
hidden. A camera that goes over to infrared starts a memory of its own; it does so in the dark, so
what turns grey and smooth from one bright picture to the next is covered.

Pure: pictures and times come in, a verdict goes out; nothing is analysed that is not ``SEEN``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import cv2
import numpy as np

from edge.view_registration import (
    Outline,
    Registration,
    outline_and_richness,
    register,
    register_at,
)
from streams.frame import Frame, Picture


class ViewState(StrEnum):
    """What can be said of the view."""

    SEEN = "seen"
    """It is the one expected."""
    MOVING = "moving"
    """The head is on its way, or has just arrived."""
    DOUBT = "doubt"
    """It does not look like the one expected, but not for long enough to say so."""
    MOVED = "moved"
    """It is another one."""
    HIDDEN = "hidden"
    """Its outlines have gone of a sudden: covered, or out of focus."""


@dataclass(frozen=True, slots=True)
class ViewTerms:
    """Limits; shifts in fractions of the frame, agreements as in :class:`Registration`.

    Attributes:
        follow_frac: a shift up to this is followed: a mast in the wind, a preset met not quite.
        agree: outlines that agree so well show the same place.
        stranger: outlines that agree no better show different places.
        rich: share of the picture that must hold outlines before a stranger is called one.
        hidden: where less than this share of the usual richness is left at once, something is before
            the lens, or the lens out of focus.
        covered: the same for a picture that has turned grey, and none of whose outlines lies where it did.
        daylight: mean grey level, of 0 to 255, from which on no camera goes over to infrared.
        confirm_s, confirm_pictures: so long and so often a wrong view must be seen.
        forget_s: after a longer gap the light may be any; then a stranger is learnt anew.
        renew_s: how often the recent picture is renewed.
        settle_frac: between two pictures of a head at rest the shift is smaller.
        together_s: pictures further apart say nothing on whether the head moves.

    """

    follow_frac: float = 0.025
    agree: float = 0.4
    stranger: float = 0.2
    rich: float = 0.25
    hidden: float = 0.35
    covered: float = 0.5
    daylight: float = 60.0
    confirm_s: float = 3.0
    confirm_pictures: int = 3
    forget_s: float = 1800.0
    renew_s: float = 20.0
    settle_frac: float = 0.01
    together_s: float = 6.0


@dataclass(frozen=True, slots=True)
class Light:
    """What light a picture was taken by: its mean grey level, of 0 to 255, and whether it has no colour."""

    level: float
    is_grey: bool


@dataclass(frozen=True, slots=True)
class ViewVerdict:
    """One picture's verdict; ``shift`` is what is to be taken back, right and down, in fractions.

    ``light``: that of a picture that shows its view.
    """

    state: ViewState
    preset: str | None
    shift: tuple[float, float] = (0.0, 0.0)
    detail: str = ""
    light: Light | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Glance:
    """What is asked of one picture; ``level`` is its mean grey level."""

    outline: Outline
    richness: float
    level: float
    infrared: bool


@dataclass(slots=True, eq=False)
class _Memory:
    """One preset in one kind of light (colour or infrared)."""

    anchor: Outline
    recent: _Glance
    recent_at: tuple[float, float] = (0.0, 0.0)  # where the recent picture lay against the anchor
    recent_s: float = float("-inf")
    doubted_s: float = float("-inf")  # when it was last shown something else instead


@dataclass(slots=True)
class ViewWatch:
    """The views of one camera; times are monotonic seconds.

    Args:
        presets: their names; a camera with one does not turn.
        references: outlines of reference pictures, where there are any.

    """

    presets: tuple[str, ...]
    references: Mapping[str, Outline] = field(default_factory=dict)
    terms: ViewTerms = field(default_factory=ViewTerms)
    _memories: dict[tuple[str, bool], _Memory] = field(default_factory=dict)
    _last: tuple[float, Outline] | None = None
    _wrong: dict[str, tuple[float, int]] = field(default_factory=dict)

    def judge(self, image: Picture, now_s: float, expected: str | None = None) -> ViewVerdict:
        """Judge one picture.

        Args:
            image: uint8 (height, width, 3) BGR.
            now_s: when it was taken.
            expected: the preset by timetable; None finds it by the picture.

        """
        glance = _glance(image)
        if len(self.presets) > 1 and self._moves(glance.outline, now_s):
            return ViewVerdict(ViewState.MOVING, None)
        preset = expected or self._find(glance)
        if preset is None:
            return self._suspect("", now_s, "looks like none of the presets")
        return self._compare(glance, preset, now_s)

    def _compare(self, glance: _Glance, preset: str, now_s: float) -> ViewVerdict:
        """Judge a picture that ought to show a preset."""
        if self._is_hidden(glance, preset, now_s):
            text = "covered or out of focus of a sudden"
            return self._suspect(preset, now_s, text, ViewState.HIDDEN)
        memory = self._memory(preset, glance, now_s)
        lies = self._against(memory, glance.outline)
        if lies.agreement >= self.terms.agree:
            if lies.shift_frac <= self.terms.follow_frac:
                return self._seen(preset, memory, glance, lies, now_s)
            text = f"turned by {lies.dx_frac:+.3f} of the width, {lies.dy_frac:+.3f} of the height"
            return self._suspect(preset, now_s, text)
        other = self._find(glance)
        if other is not None and other != preset:
            return self._suspect(preset, now_s, f"shows preset {other}")
        likeness = self._likeness(memory, glance.outline, lies)
        stranger = likeness <= self.terms.stranger and glance.richness >= self.terms.rich
        if stranger and self._is_fresh(memory, now_s):
            text = f"looks like another place (agreement {likeness:.2f})"
            return self._suspect(preset, now_s, text)
        # fog, night, rain, or light that the memory lacks: nothing speaks for another view
        return self._seen(preset, memory, glance, None, now_s)

    def _is_hidden(self, glance: _Glance, preset: str, now_s: float) -> bool:
        """Whether the outlines of the picture before have gone at once."""
        memory = self._memories.get((preset, glance.infrared))
        left = 1.0 if memory is None else glance.richness / max(memory.recent.richness, 1e-6)
        if memory is not None and left < self.terms.hidden and self._lasts(memory, glance, now_s):
            return True
        day = self._memories.get((preset, False))
        if not glance.infrared or day is None or not self._lasts(day, glance, now_s):
            return False
        poor = max(self.terms.rich, self.terms.covered * day.recent.richness)
        if glance.richness >= poor or day.recent.level < self.terms.daylight:
            return False
        # by infrared light leaves glow and shadows go, but edges stay where they were, if it is not dark
        edges = register_at(day.recent.outline, glance.outline, 0.0, 0.0)
        return glance.level >= self.terms.daylight / 2 and abs(edges.agreement) <= self.terms.stranger

    def _lasts(self, memory: _Memory, glance: _Glance, now_s: float) -> bool:
        """Whether a picture may be measured by the outlines of the recent one, and that has any."""
        same_size = memory.recent.outline.shape == glance.outline.shape
        return same_size and self._is_fresh(memory, now_s) and memory.recent.richness >= self.terms.rich

    def _is_fresh(self, memory: _Memory, now_s: float) -> bool:
        """Whether the recent picture still tells what the light is; doubt keeps it so."""
        return now_s - max(memory.recent_s, memory.doubted_s) <= self.terms.forget_s

    def _moves(self, outline: Outline, now_s: float) -> bool:
        last, self._last = self._last, (now_s, outline)
        if last is None or now_s - last[0] > self.terms.together_s or last[1].shape != outline.shape:
            return False
        lies = register(last[1], outline)
        return lies.agreement < self.terms.agree or lies.shift_frac > self.terms.settle_frac

    def _find(self, glance: _Glance) -> str | None:
        """Return the preset that the picture shows; of a camera with one, that one."""
        if len(self.presets) == 1:
            return self.presets[0]
        best, found = self.terms.agree, None
        for preset in self.presets:
            memory = self._memories.get((preset, glance.infrared))
            known = memory.recent.outline if memory is not None else self.references.get(preset)
            if known is None or known.shape != glance.outline.shape:
                continue
            lies = register(known, glance.outline)
            if lies.agreement >= best and lies.shift_frac <= self.terms.follow_frac:
                best, found = lies.agreement, preset
        return found

    def _memory(self, preset: str, glance: _Glance, now_s: float) -> _Memory:
        key = (preset, glance.infrared)
        memory = self._memories.get(key)
        if memory is None or memory.anchor.shape != glance.outline.shape:
            given = self.references.get(preset)
            fits = given is not None and given.shape == glance.outline.shape and not glance.infrared
            anchor = given if given is not None and fits else glance.outline
            first = replace(glance, outline=anchor)
            memory = self._memories[key] = _Memory(anchor, first, recent_s=now_s)
        return memory

    def _against(self, memory: _Memory, outline: Outline) -> Registration:
        """Say how a picture lies against the anchor, by way of the recent one where the light has changed."""
        by_anchor = register(memory.anchor, outline)
        if by_anchor.agreement >= self.terms.agree:
            return by_anchor
        by_recent = register(memory.recent.outline, outline)
        if by_anchor.agreement >= by_recent.agreement:
            return by_anchor
        x, y = memory.recent_at
        return Registration(by_recent.dx_frac + x, by_recent.dy_frac + y, by_recent.agreement)

    def _likeness(self, memory: _Memory, outline: Outline, lies: Registration) -> float:
        """Return the agreement where the view may lie; far off, a little of it comes by chance."""
        if lies.shift_frac <= 2 * self.terms.follow_frac:
            return lies.agreement
        known = (memory.anchor, memory.recent.outline)
        return max(register_at(one, outline, 0.0, 0.0).agreement for one in known)

    def _seen(
        self, preset: str, memory: _Memory, glance: _Glance, lies: Registration | None, now_s: float
    ) -> ViewVerdict:
        """Take a picture for the view, and renew what is remembered."""
        self._wrong.pop(preset, None)
        self._wrong.pop("", None)
        shift = (0.0, 0.0) if lies is None else (lies.dx_frac, lies.dy_frac)
        if now_s - memory.recent_s >= self.terms.renew_s or lies is None:
            memory.recent, memory.recent_s = glance, now_s
            memory.recent_at = shift if lies is not None else memory.recent_at
        return ViewVerdict(ViewState.SEEN, preset, shift, light=Light(glance.level, glance.infrared))

    def _suspect(
        self, preset: str, now_s: float, detail: str, lasting_state: ViewState = ViewState.MOVED
    ) -> ViewVerdict:
        since_s, pictures = self._wrong.get(preset, (now_s, 0))
        self._wrong[preset] = (since_s, pictures + 1)
        for infrared in (False, True):
            if (memory := self._memories.get((preset, infrared))) and self._is_fresh(memory, now_s):
                memory.doubted_s = now_s
        lasting = now_s - since_s >= self.terms.confirm_s and pictures + 1 >= self.terms.confirm_pictures
        state = lasting_state if lasting else ViewState.DOUBT
        return ViewVerdict(state, preset or None, detail=f"{preset}: {detail}" if preset else detail)


def realigned(frame: Frame, shift: tuple[float, float]) -> Frame:
    """Return the frame moved back by ``shift`` in whole pixels, so that zones lie where they were drawn.

    Pixels are copied, never mixed; what enters at a border repeats it. The same frame comes back, its
    picture unconverted, where less than a pixel is to be moved.
    """
    size = (frame.width_px, frame.height_px)
    dx, dy = round(shift[0] * size[0]), round(shift[1] * size[1])
    if dx == 0 and dy == 0:
        return frame
    matrix = np.array([[1.0, 0.0, -dx], [0.0, 1.0, -dy]])
    moved = cv2.warpAffine(
        frame.image, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return replace(frame, pixels=np.asarray(moved, np.uint8))


def _glance(image: Picture) -> _Glance:
    level = float(image[::8, ::8].mean())
    outline, richness = outline_and_richness(image)
    return _Glance(outline, richness, level, _is_grey(image))


def _is_grey(image: Picture) -> bool:
    """Whether the picture is without colour, as cameras make it by infrared light."""
    small = image[::16, ::16].astype(np.int16)
    return float(np.percentile(small.max(axis=2) - small.min(axis=2), 95)) <= 6
