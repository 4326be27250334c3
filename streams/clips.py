"""Writing undecoded packets into an MP4, without re-encoding, on one clean time line."""

from __future__ import annotations

import errno
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext

from streams.errors import ClipFailed
from streams.packets import Stamp

TICKS_PER_S = 90_000
TICK = Fraction(1, TICKS_PER_S)

_BACK_S = 1.0  # reordered pictures go back less; more is a time stamp that has started again
_AHEAD_S = 5.0  # so much more media time than time passed is a jump of the time stamps
_DEFAULT_STEP = TICKS_PER_S // 25
_REORDER_MAX = 16  # the deepest reordering that H.264 and H.265 allow


@dataclass(frozen=True, slots=True)
class VideoParameters:
    """What a decoder must know before the first packet.

    ``codec`` as FFmpeg names it (h264, hevc, mjpeg). ``extradata``: parameter sets in Annex B form,
    empty where they come in band. ``connection``: which connection of the camera it was.
    """

    codec: str
    extradata: bytes = b""
    connection: int = 0

    def joins(self, other: VideoParameters) -> bool:
        """Whether packets of both may stand in one file, one after the other."""
        if self == other:
            return True
        same = (self.codec, self.extradata) == (other.codec, other.extradata)
        return same and (bool(self.extradata) or self.codec == "mjpeg")


@dataclass(frozen=True, slots=True, eq=False)
class StoredPacket:
    """One packet as it came; ``pts`` and ``dts`` in ticks of 1/90000 s, None where it had none.

    ``data`` of H.264 and H.265 is in Annex B form (start codes).
    """

    data: bytes
    pts: int | None
    dts: int | None
    is_key: bool
    stamp: Stamp
    parameters: VideoParameters


@dataclass(frozen=True, slots=True)
class Placed:
    """Presentation and decoding time of one packet in a clip, in ticks from about 0."""

    pts: int
    dts: int


def timeline(packets: Sequence[StoredPacket]) -> list[Placed]:
    """Place packets on one time line, whatever their own time stamps do.

    Time stamps that start again (a looping server, a new connection) or jump ahead are joined by the
    times of arrival. Decoding times are made from the presentation times: sorted, and moved ahead by
    the depth of reordering, so that they increase and none lies after its presentation.
    """
    placed: list[Placed] = []
    for first, last in _runs(packets):
        run = packets[first:last]
        start = 0
        if placed:
            passed_s = run[0].stamp.monotonic_s - packets[0].stamp.monotonic_s
            start = max(max(place.pts for place in placed) + _DEFAULT_STEP, round(passed_s * TICKS_PER_S))
        placed += _place_run(run, start)
    return _strictly_increasing(placed)


def _runs(packets: Sequence[StoredPacket]) -> list[tuple[int, int]]:
    """Split into half-open ranges in which the packets' own time stamps hang together."""
    cuts = [0]
    for index, (before, after) in enumerate(pairwise(packets), start=1):
        if before.parameters.connection != after.parameters.connection or _jumps(before, after):
            cuts.append(index)
    return list(pairwise([*cuts, len(packets)]))


def _jumps(before: StoredPacket, after: StoredPacket) -> bool:
    earlier = before.dts if before.dts is not None else before.pts
    later = after.dts if after.dts is not None else after.pts
    if earlier is None or later is None:
        return False
    media_s = (later - earlier) / TICKS_PER_S
    passed_s = after.stamp.monotonic_s - before.stamp.monotonic_s
    return media_s < -_BACK_S or media_s > passed_s + _AHEAD_S


def _place_run(run: Sequence[StoredPacket], start: int) -> list[Placed]:
    pts = _presentation(run)
    first = min(pts)
    in_order = sorted(pts)
    reordering = max(early - own for early, own in zip(in_order, pts, strict=True))
    return [
        Placed(own - first + start, early - reordering - first + start)
        for early, own in zip(in_order, pts, strict=True)
    ]


def _presentation(run: Sequence[StoredPacket]) -> list[int]:
    """Return each packet's presentation time, made up where it has none.

    FFmpeg's RTSP client gives no time to the first packets of a connection: they are put a frame apart
    before the first that has one. Later ones are put after their predecessors by arrival.
    """
    own = [packet.pts if packet.pts is not None else packet.dts for packet in run]
    timed = next((index for index, ticks in enumerate(own) if ticks is not None), len(own))
    soon = [ticks for ticks in own[timed : timed + _REORDER_MAX] if ticks is not None]
    earliest = min(soon, default=0)
    times = [earliest - (timed - index) * _DEFAULT_STEP for index in range(timed)]
    for index in range(timed, len(run)):
        ticks = own[index]
        if ticks is None:
            passed_s = run[index].stamp.monotonic_s - run[index - 1].stamp.monotonic_s
            ticks = times[-1] + max(1, round(passed_s * TICKS_PER_S))
        times.append(ticks)
    return times


def _strictly_increasing(placed: list[Placed]) -> list[Placed]:
    result: list[Placed] = []
    for place in placed:
        dts = max(place.dts, result[-1].dts + 1) if result else place.dts
        result.append(Placed(max(place.pts, dts), dts))
    return result


def write_clip(packets: Sequence[StoredPacket], path: Path) -> Path:
    """Write packets, the first of them a key frame, as an MP4 that browsers can start at once.

    The file appears under its name only when it is complete.

    Raises:
        ClipFailed: the packets cannot be decoded, or MP4 does not take them.
        OSError: the file cannot be written (disk full, no permission).

    """
    kept = _without_leading(packets)
    if not kept or not kept[0].is_key:
        msg = f"{path}: a clip must begin with a key frame"
        raise ClipFailed(msg)
    part = path.with_name(path.name + ".part")
    try:
        _mux(kept, part)
        part.replace(path)
    except av.FFmpegError as error:
        if isinstance(error, OSError) and error.errno in {
            errno.ENOSPC,
            errno.EACCES,
            errno.EIO,
            errno.EDQUOT,
        }:
            raise OSError(error.errno, error.strerror, str(path)) from error
        msg = f"{path}: {kept[0].parameters.codec} packets cannot be put into MP4: {error.strerror}"
        raise ClipFailed(msg) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _without_leading(packets: Sequence[StoredPacket]) -> list[StoredPacket]:
    """Drop pictures that are shown before the first key frame: what they refer to is not there."""
    if not packets or packets[0].pts is None:
        return list(packets)
    first = packets[0]
    end = _runs(packets)[0][1]
    return [
        packet
        for index, packet in enumerate(packets)
        if index >= end or packet.pts is None or packet.pts >= (first.pts or 0)
    ]


def _mux(packets: Sequence[StoredPacket], part: Path) -> None:
    parameters = packets[0].parameters
    width_px, height_px = _size_of(packets[0])
    places = timeline(packets)
    steps = [later.dts - earlier.dts for earlier, later in pairwise(places)]
    step = round(statistics.median(steps)) if steps else _DEFAULT_STEP
    with av.open(str(part), "w", format="mp4", container_options={"movflags": "+faststart"}) as container:
        stream = container.add_mux_stream(parameters.codec, width=width_px, height=height_px, time_base=TICK)
        for index, (packet, place) in enumerate(zip(packets, places, strict=True)):
            # the muxer learns the parameter sets from the first packet
            data = packet.data if index else _with_parameter_sets(packet)
            muxed = av.Packet(data)
            muxed.stream = stream
            muxed.time_base = TICK
            muxed.pts, muxed.dts, muxed.duration = place.pts, place.dts, step
            muxed.is_keyframe = packet.is_key
            container.mux_one(muxed)


def _with_parameter_sets(packet: StoredPacket) -> bytes:
    extradata = packet.parameters.extradata
    return packet.data if not extradata or extradata in packet.data else extradata + packet.data


def _size_of(packet: StoredPacket) -> tuple[int, int]:
    """Return width and height in px by decoding the first key frame, which proves the clip too."""
    picture = decode_key(packet)
    return picture.width, picture.height


def decode_key(packet: StoredPacket) -> av.VideoFrame:
    """Decode one key frame by itself.

    Raises:
        ClipFailed: it gives no picture.
        av.FFmpegError: it is none, or damaged.

    """
    codec = av.CodecContext.create(packet.parameters.codec, "r")
    assert isinstance(codec, VideoCodecContext)  # noqa: S101 - the ring holds video alone
    codec.thread_count = 1
    probe = av.Packet(_with_parameter_sets(packet))
    pictures = [*codec.decode(probe), *codec.decode(None)]
    if not pictures:
        msg = "a key frame of the ring cannot be decoded"
        raise ClipFailed(msg)
    return pictures[0]
