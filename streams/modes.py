"""Which pictures of a stream are decoded: key frames only, every nth, all, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class DecodeMode:
    """How much of a stream is decoded.

    ``keyframes`` decodes key frames alone, about a tenth of the cost of ``full``; ``every`` decodes
    the whole stream and hands out each ``nth`` picture; ``full`` hands out all of them; ``none`` keeps
    packets alone, for a stream that is there for evidence.
    """

    kind: Literal["keyframes", "every", "full", "none"]
    nth: int = 1

    def __post_init__(self) -> None:
        """Refuse unknown kinds and an ``nth`` below 1."""
        if self.kind not in {"keyframes", "every", "full", "none"}:
            msg = f"unknown decode mode {self.kind!r}; use keyframes, full or every: n"
            raise ValueError(msg)
        if self.nth < 1:
            msg = f"every: {self.nth} must be at least 1"
            raise ValueError(msg)

    @classmethod
    def parse(cls, value: object) -> DecodeMode:
        """Read ``keyframes``, ``full`` or ``{every: n}``, as a configuration spells them.

        Raises:
            ValueError: ``value`` is none of the three; the message says what would be right.

        """
        if isinstance(value, DecodeMode):
            return value
        if value == "keyframes":
            return KEYFRAMES
        if value == "full":
            return FULL
        if isinstance(value, Mapping) and set(value) == {"every"}:
            nth = value["every"]
            if isinstance(nth, int) and not isinstance(nth, bool):
                return every(nth)
        msg = f"decode is keyframes, full or {{every: n}} with a whole n >= 1, not {value!r}"
        raise ValueError(msg)

    def __str__(self) -> str:
        """Spell the mode as the configuration does."""
        return f"every: {self.nth}" if self.kind == "every" else self.kind


KEYFRAMES = DecodeMode("keyframes")
FULL = DecodeMode("full")
NOTHING = DecodeMode("none")

Hardware = Literal["auto", "off", "vaapi", "cuda"]
"""Where it is decoded; see :func:`streams.hardware.accelerator`."""


def every(nth: int) -> DecodeMode:
    """Decode everything and hand out each ``nth`` picture."""
    return DecodeMode("every", nth)
