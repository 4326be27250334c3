"""Turning a clip into H.264 that every browser plays, with the clip's own times."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.codec.context import ThreadType
from av.container import InputContainer, OutputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from streams.errors import ClipFailed, StreamGarbage
from streams.opening import Source, opened, packets_of

LONG_SIDE_MAX_PX = 1920
_THREADS = 2  # somebody waits for the clip, but the machine has other work
_DEFAULT_RATE = Fraction(25)
_RATE_MAX = Fraction(120)  # more is a broken time stamp
_KEY_INTERVAL_S = 2  # how exactly a player's slider can be moved
# veryfast: 3 to 5 times as fast as x264's default; crf 23 is x264's default quality
_X264 = {"preset": "veryfast", "crf": "23", "profile": "high"}


def transcode(source: Path, target: Path) -> int:
    """Write the first video stream of ``source`` to ``target`` as an H.264 MP4 that starts at once.

    4:2:0, no sound; times as they were; the long side at most :data:`LONG_SIDE_MAX_PX`, both sides even.
    Packets that cannot be decoded are left out. ``target`` appears only when it is complete, and
    stays as it was if that fails.

    Returns:
        The number of pictures.

    Raises:
        StreamError: ``source`` is missing, unreadable or holds no picture; names the file.
        ClipFailed: ``target`` cannot be written.

    """
    part = target.with_name(target.name + ".part")
    try:
        with opened(Source(str(source))) as (container, stream):
            count = _write(_pictures(source, container, stream), stream, part)
        if not count:
            msg = f"{source}: no picture could be decoded from it"
            raise StreamGarbage(msg)
        part.replace(target)
    except (av.FFmpegError, OSError) as error:
        # reading raises errors of ours, so what comes here is the encoder's or the disk's
        msg = f"{target}: cannot be written: {error.strerror}"
        raise ClipFailed(msg) from None
    finally:
        part.unlink(missing_ok=True)
    return count


def fitting_size(width_px: int, height_px: int) -> tuple[int, int]:
    """Return the nearest even (width, height) in px whose long side is at most :data:`LONG_SIDE_MAX_PX`."""
    scale = min(Fraction(1), Fraction(LONG_SIDE_MAX_PX, max(width_px, height_px)))
    width, height = (max(2, int(side * scale / 2) * 2) for side in (width_px, height_px))
    return width, height


def _pictures(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield every picture that can be decoded, with times that increase strictly."""
    codec = stream.codec_context
    codec.thread_count = _THREADS
    codec.thread_type = ThreadType.AUTO
    last: int | None = None
    for packet in chain(packets_of(container, stream, Source(str(path))), [None]):
        try:
            decoded = codec.decode(packet)
        except av.FFmpegError:
            continue
        for picture in decoded:
            if picture.pts is not None and (last is None or picture.pts > last):
                last = picture.pts
                picture.time_base = stream.time_base or picture.time_base
                yield picture


def _write(pictures: Iterator[av.VideoFrame], source: VideoStream, part: Path) -> int:
    """Encode the pictures; the first of them gives size and colours of all. Return how many there were."""
    first = next(pictures, None)
    if first is None:
        return 0
    count = 0
    reformatter = VideoReformatter()
    with av.open(str(part), "w", format="mp4", container_options={"movflags": "+faststart"}) as container:
        stream = _encoder(container, source, first)
        for count, picture in enumerate(chain([first], pictures), start=1):  # noqa: B007 - counted
            container.mux(stream.encode(_prepared(reformatter, picture, stream.width, stream.height)))
        container.mux(stream.encode(None))
    return count


def _encoder(container: OutputContainer, source: VideoStream, first: av.VideoFrame) -> VideoStream:
    told = source.average_rate or source.guessed_rate
    rate = told if told is not None and 0 < told <= _RATE_MAX else _DEFAULT_RATE
    stream = container.add_stream("libx264", rate=rate, options=_X264)
    assert isinstance(stream, VideoStream)  # noqa: S101 - libx264 encodes video alone
    stream.width, stream.height = fitting_size(first.width, first.height)
    stream.pix_fmt = "yuv420p"
    codec = stream.codec_context
    codec.time_base = first.time_base or 1 / rate
    codec.gop_size = max(1, round(rate * _KEY_INTERVAL_S))
    codec.thread_count = _THREADS
    if source.sample_aspect_ratio:  # D1 cameras: pixels are not square
        codec.sample_aspect_ratio = source.sample_aspect_ratio
    # the numbers of YUV are kept, and so is what they mean; only MJPEG's full range is converted
    codec.color_range = ColorRange.MPEG
    codec.colorspace, codec.color_trc = first.colorspace, first.color_trc
    codec.color_primaries = first.color_primaries
    return stream


def _prepared(
    reformatter: VideoReformatter, picture: av.VideoFrame, width_px: int, height_px: int
) -> av.VideoFrame:
    fitted = reformatter.reformat(
        picture,
        width_px,
        height_px,
        "yuv420p",
        interpolation=Interpolation.AREA,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )
    fitted.pts, fitted.time_base, fitted.duration = picture.pts, picture.time_base, picture.duration
    # the decoder has noted of which type the picture was: the encoder would take that for an order
    fitted.pict_type = PictureType.NONE
    return fitted
