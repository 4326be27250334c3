"""Synthetic surveillance video: a still street with grain and moving blocks, at a known bit rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

WIDTH_PX, HEIGHT_PX, FPS = 1920, 1080, 25
KEY_FRAME_S = 2
BIT_RATE = 4_000_000
GRAIN_SIGMA = 3.5  # grey levels; with it the encoder has to work for 4 Mbit/s, as with a real sensor
TEXTURE_SIGMA = 2.0  # stays from frame to frame; sets how large key frames are
_GRAIN_FIELDS = 7
_BLOCKS = 6


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a clip is, measured from its packets."""

    name: str
    codec: str
    width_px: int
    height_px: int
    seconds: float
    mbit_s: float
    key_frames: int
    key_frame_kib: float
    b_frames: bool


def frames(count: int, seed: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield pictures as yuv420p planes, uint8 (height * 3 / 2, width)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 190, (HEIGHT_PX // 24, WIDTH_PX // 24)).astype(np.float32)
    ground = np.asarray(cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC), np.float32)
    ground += rng.normal(0, TEXTURE_SIGMA, ground.shape)
    still = np.clip(ground, 16, 235).astype(np.uint8)
    grain = [rng.normal(0, GRAIN_SIGMA, still.shape).astype(np.int16) for _ in range(_GRAIN_FIELDS)]
    starts = rng.integers(0, WIDTH_PX, _BLOCKS)
    picture = np.full((HEIGHT_PX * 3 // 2, WIDTH_PX), 128, np.uint8)
    for index in range(count):
        luma = still.astype(np.int16)
        for block, start in enumerate(starts):
            left = (int(start) + index * (3 + block)) % (WIDTH_PX - 160)
            top = 150 + block * 130
            luma[top : top + 70, left : left + 150] = 40 + block * 30
        # a shifted field is new grain at the price of a copy
        luma += np.roll(grain[index % _GRAIN_FIELDS], int(rng.integers(0, WIDTH_PX)), axis=1)
        picture[:HEIGHT_PX] = np.clip(luma, 16, 235)
        yield picture


def write_clip(path: Path, seconds: int, *, b_frames: int, seed: int = 1) -> None:
    """Encode a clip of H.264, 1080p25, about 4 Mbit/s, a key frame every 2 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.bit_rate = BIT_RATE
        stream.time_base = Fraction(1, FPS)
        gop = FPS * KEY_FRAME_S
        stream.options = {
            "preset": "veryfast",
            "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:b-adapt=0:"
            f"vbv-maxrate={BIT_RATE * 5 // 4000}:vbv-bufsize={BIT_RATE // 500}",
        }
        for index, planes in enumerate(frames(seconds * FPS, seed)):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def clip_facts(path: Path, name: str) -> ClipFacts:
    """Measure a clip from its packets."""
    sizes, keys, reordered = [], [], False
    last_pts = None
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            reordered = reordered or (last_pts is not None and packet.pts < last_pts)
            last_pts = packet.pts
            sizes.append(packet.size)
            if packet.is_keyframe:
                keys.append(packet.size)
        seconds = len(sizes) / float(stream.average_rate or FPS)
        context = stream.codec_context
        return ClipFacts(
            name=name,
            codec=context.name,
            width_px=context.width,
            height_px=context.height,
            seconds=seconds,
            mbit_s=sum(sizes) * 8 / seconds / 1e6,
            key_frames=len(keys),
            key_frame_kib=sum(keys) / max(1, len(keys)) / 1024,
            b_frames=reordered,
        )
