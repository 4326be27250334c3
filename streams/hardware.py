"""Decoding on a GPU, where the machine has one that FFmpeg was built for; in software otherwise.

Pictures come back to main memory, where models and rules read them. Key frames alone are cheap in
software (15 ms at 1080p), so this pays for streams that are decoded whole, or are large.
"""

from __future__ import annotations

import functools
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from streams.modes import Hardware
from towerwatch.logs import get_logger

_log = get_logger(__name__)

_DEVICES = {"vaapi": "dri/renderD128", "cuda": "nvidia0"}  # in order of preference
_OPTIONS: dict[str, dict[str, object]] = {
    "cuda": {"primary_ctx": "1"}
}  # one context for all cameras of a process, not one each


def accelerator(wanted: Hardware, dev: Path = Path("/dev")) -> HWAccel | None:
    """Return what decodes on hardware, for one connection; None for software.

    ``auto`` takes the first that is there; where what is named is not there it is software, with a word
    in the log, once. A stream that the hardware does not take FFmpeg itself decodes in software.
    ``dev``: where devices lie.
    """
    kind = chosen(wanted, dev)
    return None if kind is None else HWAccel(kind, allow_software_fallback=True, options=_OPTIONS.get(kind))


@functools.cache
def chosen(wanted: Hardware, dev: Path) -> str | None:
    """Say which hardware decodes, and say it in the log, once a process."""
    if wanted == "off":
        return None
    lacks = {}
    for kind, device in _DEVICES.items():
        if wanted not in {"auto", kind}:
            continue
        lacks[kind] = _lack(kind, dev / device)
        if not lacks[kind]:
            _log.info("decoding on hardware", device=kind)
            return kind
    _log.info("decoding in software", **lacks)
    return None


def _lack(kind: str, device: Path) -> str:
    """Say what keeps a kind of hardware from decoding; empty if nothing does."""
    if kind not in hwdevices_available():
        return "not in this FFmpeg"
    if not device.exists():
        return "no device"
    try:  # a device without its driver makes every opening of a stream fail
        HWAccel(kind).create(av.Codec("h264", "r"))
    except (av.FFmpegError, OSError, ValueError, NotImplementedError) as error:
        return f"cannot be opened: {getattr(error, 'strerror', None) or type(error).__name__}"
    return ""
