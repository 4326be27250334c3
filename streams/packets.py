"""An undecoded packet, and the instant at which it arrived."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import av
from av.video.stream import VideoStream

from towerwatch.timebase import utc_now

Packet: TypeAlias = "av.Packet[VideoStream]"  # not subscriptable at run time


@dataclass(frozen=True, slots=True)
class Stamp:
    """An instant twice: aware UTC for people, monotonic seconds for durations."""

    captured_at: datetime
    monotonic_s: float

    @classmethod
    def now(cls) -> Stamp:
        """Take the time of both clocks."""
        return cls(utc_now(), time.monotonic())
