"""Whether a camera still shows the view that its zones were drawn for, and how far it has shifted.

Each preset has an anchor, its outlines as they were first seen or as a reference picture shows them,
and a recent picture that follows the light: dusk and weather come by steps that agree with the one
before. What agrees at a distance was turned; what agrees with another preset is the wrong one; what
is rich in outlines and agrees with nothing shows something else. Fog and night are poor in outlines
and give no verdict, for they come by steps; outlines that are gone from one picture to the next are
hidden. A camera that goes over to infrared starts a memory of its own.

Pure: pictures and times come in, a verdict goes out; nothing is analysed that is not ``SEEN``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import numpy as np

from edge.view_registration import Outline, Registration, outline_of, register, richness
from streams.frame import Picture


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
    confirm_s: float = 3.0
    confirm_pictures: int = 3
    forget_s: float = 1800.0
    renew_s: float = 20.0
    settle_frac: float = 0.01
    together_s: float = 6.0


@dataclass(frozen=True, slots=True)
class ViewVerdict:
    """One picture's verdict; ``shift`` is what is to be taken back, right and down, in fractions."""

    state: ViewState
    preset: str | None
    shift: tuple[float, float] = (0.0, 0.0)
    detail: str = ""


@dataclass(slots=True, eq=False)
class _Memory:
    """One preset in one kind of light (colour or infrared)."""

    anchor: Outline
    recent: Outline
    recent_at: tuple[float, float] = (0.0, 0.0)  # where the recent picture lay against the anchor
    recent_s: float = float("-inf")
    richness: float = 0.0  # of the recent picture


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
        outline = outline_of(image)
        infrared = _is_grey(image)
        if len(self.presets) > 1 and self._moves(outline, now_s):
            return ViewVerdict(ViewState.MOVING, None)
        preset = expected or self._find(outline, infrared)
        if preset is None:
            return self._suspect("", now_s, "looks like none of the presets")
        return self._compare(image, outline, (preset, infrared), now_s)

    def _compare(self, image: Picture, outline: Outline, key: tuple[str, bool], now_s: float) -> ViewVerdict:
        """Judge a picture that ought to show a preset."""
        preset, rich = key[0], richness(image)
        memory = self._memory(key, outline, now_s, rich)
        fresh = now_s - memory.recent_s <= self.terms.forget_s
        if fresh and memory.richness >= self.terms.rich and rich < self.terms.hidden * memory.richness:
            return self._suspect(preset, now_s, "covered or out of focus of a sudden", ViewState.HIDDEN)
        lies = self._against(memory, outline)
        if lies.agreement >= self.terms.agree:
            if lies.shift_frac <= self.terms.follow_frac:
                return self._seen(preset, memory, (outline, rich), lies, now_s)
            text = f"turned by {lies.dx_frac:+.3f} of the width, {lies.dy_frac:+.3f} of the height"
            return self._suspect(preset, now_s, text)
        other = self._find(outline, key[1])
        if other is not None and other != preset:
            return self._suspect(preset, now_s, f"shows preset {other}")
        if fresh and lies.agreement <= self.terms.stranger and rich >= self.terms.rich:
            text = f"looks like another place (agreement {lies.agreement:.2f})"
            return self._suspect(preset, now_s, text)
        # fog, night, rain, or light that the memory lacks: nothing speaks for another view
        return self._seen(preset, memory, (outline, rich), None, now_s)

    def _moves(self, outline: Outline, now_s: float) -> bool:
        last, self._last = self._last, (now_s, outline)
        if last is None or now_s - last[0] > self.terms.together_s or last[1].shape != outline.shape:
            return False
        lies = register(last[1], outline)
        return lies.agreement < self.terms.agree or lies.shift_frac > self.terms.settle_frac

    def _find(self, outline: Outline, infrared: bool) -> str | None:  # noqa: FBT001 - a property of the picture
        """Return the preset that the picture shows; of a camera with one, that one."""
        if len(self.presets) == 1:
            return self.presets[0]
        best, found = self.terms.agree, None
        for preset in self.presets:
            memory = self._memories.get((preset, infrared))
            known = memory.recent if memory is not None else self.references.get(preset)
            if known is None or known.shape != outline.shape:
                continue
            lies = register(known, outline)
            if lies.agreement >= best and lies.shift_frac <= self.terms.follow_frac:
                best, found = lies.agreement, preset
        return found

    def _memory(self, key: tuple[str, bool], outline: Outline, now_s: float, rich: float) -> _Memory:
        preset, infrared = key
        memory = self._memories.get(key)
        if memory is None or memory.anchor.shape != outline.shape:
            given = self.references.get(preset)
            anchor = given if given is not None and given.shape == outline.shape and not infrared else outline
            memory = self._memories[key] = _Memory(anchor, anchor, recent_s=now_s, richness=rich)
        return memory

    def _against(self, memory: _Memory, outline: Outline) -> Registration:
        """Say how a picture lies against the anchor, by way of the recent one where the light has changed."""
        by_anchor = register(memory.anchor, outline)
        if by_anchor.agreement >= self.terms.agree:
            return by_anchor
        by_recent = register(memory.recent, outline)
        if by_anchor.agreement >= by_recent.agreement:
            return by_anchor
        x, y = memory.recent_at
        return Registration(by_recent.dx_frac + x, by_recent.dy_frac + y, by_recent.agreement)

    def _seen(
        self,
        preset: str,
        memory: _Memory,
        seen: tuple[Outline, float],
        lies: Registration | None,
        now_s: float,
    ) -> ViewVerdict:
        """Take a picture for the view, and renew what is remembered; ``seen`` is its outline and richness."""
        self._wrong.pop(preset, None)
        self._wrong.pop("", None)
        shift = (0.0, 0.0) if lies is None else (lies.dx_frac, lies.dy_frac)
        if now_s - memory.recent_s >= self.terms.renew_s or lies is None:
            memory.recent, memory.richness = seen
            memory.recent_s = now_s
            memory.recent_at = shift if lies is not None else memory.recent_at
        return ViewVerdict(ViewState.SEEN, preset, shift)

    def _suspect(
        self, preset: str, now_s: float, detail: str, lasting_state: ViewState = ViewState.MOVED
    ) -> ViewVerdict:
        since_s, pictures = self._wrong.get(preset, (now_s, 0))
        self._wrong[preset] = (since_s, pictures + 1)
        lasting = now_s - since_s >= self.terms.confirm_s and pictures + 1 >= self.terms.confirm_pictures
        state = lasting_state if lasting else ViewState.DOUBT
        return ViewVerdict(state, preset or None, detail=f"{preset}: {detail}" if preset else detail)


def realigned(image: Picture, shift: tuple[float, float]) -> Picture:
    """Return the picture moved back by ``shift`` in whole pixels, so that zones lie where they were drawn.

    Pixels are copied, never mixed; what enters at a border repeats it. The same picture comes back
    where less than a pixel is to be moved.
    """
    dx, dy = round(shift[0] * image.shape[1]), round(shift[1] * image.shape[0])
    if dx == 0 and dy == 0:
        return image
    matrix = np.array([[1.0, 0.0, -dx], [0.0, 1.0, -dy]])
    size = (image.shape[1], image.shape[0])
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _is_grey(image: Picture) -> bool:
    """Whether the picture is without colour, as cameras make it by infrared light."""
    small = image[::16, ::16].astype(np.int16)
    return float(np.percentile(small.max(axis=2) - small.min(axis=2), 95)) <= 6
