"""Small videos and pictures for tests, made with PyAV's own encoders."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

ENCODERS = {"h264": "libx264", "hevc": "libx265", "mjpeg": "mjpeg", "mpeg4": "mpeg4"}


def picture(index: int, width: int, height: int, *, moving: bool = True) -> npt.NDArray[np.uint8]:
    """A grey gradient with a bright bar whose place tells the index."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(30, 120, width, dtype=np.uint8)[None, :, None]
    left = (index * 4) % width if moving else width // 3
    image[:, left : left + max(8, width // 16)] = (40, 200, 230)
    return image


def make_video(
    path: Path,
    *,
    codec: str = "h264",
    seconds: float = 4.0,
    fps: int = 25,
    size: tuple[int, int] = (320, 240),
    gop: int = 25,
    b_frames: int = 0,
    pix_fmt: str | None = None,
    moving: bool = True,
    noise: int = 0,
    rotation: int = 0,
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode a clip whose key frames come every ``gop`` frames; ``noise`` in grey levels."""
    settings = {"h264": {"preset": "ultrafast", "sc_threshold": "0", "bf": str(b_frames)}}.get(codec, {})
    if codec == "hevc":
        x265 = f"log-level=none:keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:pools=1"
        settings = {"preset": "ultrafast", "x265-params": x265}
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(ENCODERS[codec], rate=fps, options={**settings, **(options or {})})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt or ("yuvj420p" if codec == "mjpeg" else "yuv420p")
        stream.codec_context.thread_count = 1
        if codec != "mjpeg":
            stream.codec_context.gop_size = gop
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in frames(round(seconds * fps), size, fps, moving=moving, noise=noise):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def frames(
    count: int, size: tuple[int, int], fps: int, *, moving: bool, noise: int = 0
) -> Iterator[av.VideoFrame]:
    rng = np.random.default_rng(1)
    for index in range(count):
        image = picture(index, *size, moving=moving)
        if noise:
            grain = rng.integers(-noise, noise + 1, image.shape[:2])[:, :, None]
            image = np.clip(image.astype(np.int16) + grain, 0, 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = index, Fraction(1, fps)
        yield frame


def decode_all(path: Path) -> list[float]:
    """Decode every frame of a file; return their times in s, in the order in which they are shown."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        return [float((frame.pts or 0) * stream.time_base) for frame in container.decode(stream)]


def repeat_video(source: Path, target: Path, times: int) -> Path:
    """Put a file's packets one round after another into a new file, with time stamps that run on."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = read.streams.video[0]
        out = written.add_stream_from_template(stream)
        packets = [packet for packet in read.demux(stream) if packet.size]
        first = min(packet.pts or 0 for packet in packets)
        length = max((packet.pts or 0) + (packet.duration or 0) for packet in packets) - first
        data = [(bytes(p), p.pts or 0, p.dts or 0, p.duration, p.is_keyframe, p.time_base) for p in packets]
        for index in range(times):
            for payload, pts, dts, duration, is_key, time_base in data:
                packet = av.Packet(payload)
                packet.stream, packet.time_base, packet.is_keyframe = out, time_base, is_key
                packet.pts, packet.dts, packet.duration = pts + index * length, dts + index * length, duration
                written.mux_one(packet)
    return target
