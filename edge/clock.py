"""Whether the box's clock may be trusted: what the kernel's clock discipline says of itself.

``adjtimex(2)`` reads it without any right or any daemon's help: chrony, ntpd and systemd-timesyncd
all report through it. Source of the fields: ``linux/timex.h``.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from typing import Any

from alerts.messages import ClockState

STA_UNSYNC = 0x0040
STA_NANO = 0x2000
TIME_ERROR = 5


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_s", ctypes.c_long),
        ("time_us", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),  # tick, pps fields and padding: not read
    )


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)


def clock_state() -> ClockState:
    """Ask the kernel. ``synchronised`` is False when nothing disciplines the clock, or it cannot be told."""
    timex = _Timex()
    try:
        verdict = _libc().adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return ClockState(synchronised=False)
    return interpret(verdict, timex.status, timex.offset)


def interpret(verdict: int, status: int, offset: int) -> ClockState:
    """Read the kernel's answer.

    Args:
        verdict: return value of ``adjtimex``; -1 on failure, 5 for an unsynchronised clock.
        status: its status bits.
        offset: what is still to be corrected, in ns with ``STA_NANO``, else in us.

    """
    if verdict < 0:
        return ClockState(synchronised=False)
    if verdict == TIME_ERROR or status & STA_UNSYNC:
        return ClockState(synchronised=False)
    return ClockState(synchronised=True, offset_ms=round(offset / (1e6 if status & STA_NANO else 1e3), 3))
