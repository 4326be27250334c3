"""How long it takes from a key frame's arrival until its picture is in the consumer's hands.

Run by itself it prints the figures: ``python tests/latency.py [SECONDS]``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components import Program, free_port, towerwatch, wait_until
from media import make_video

from streams.live import LiveCamera, LiveSettings


@dataclass(frozen=True)
class Latency:
    """Seconds from the arrival of a key frame's packet to its BGR picture in the consumer's hands."""

    samples_s: tuple[float, ...]
    streams: int

    @property
    def p95_s(self) -> float:
        return statistics.quantiles(self.samples_s, n=20, method="inclusive")[-1]

    @property
    def median_s(self) -> float:
        return statistics.median(self.samples_s)


def make_1080p(folder: Path) -> Path:
    """6 s of 1080p25 H.264 with B-frames, a key frame every 2 s, with grain as from a camera."""
    return make_video(
        folder / "full_hd.mp4",
        seconds=6,
        size=(1920, 1080),
        gop=50,
        b_frames=2,
        noise=6,
        options={"crf": "28"},
    )


def measure(urls: Sequence[str], seconds: float) -> Latency:
    """Watch every address as a worker does, one consumer thread a camera."""
    samples: list[float] = []
    end_s = time.monotonic() + seconds

    def consume(url: str) -> None:
        with LiveCamera(LiveSettings(url, ring_mib=32)) as camera:
            while time.monotonic() < end_s:
                frame = camera.latest(0.5)
                # the packets that came while FFmpeg was opening the stream are left out
                if frame is not None and frame.index > 0:
                    samples.append(time.monotonic() - frame.monotonic_s)

    threads = [threading.Thread(target=consume, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Latency(tuple(samples), len(urls))


def measure_four(folder: Path, seconds: float) -> Latency:
    """Serve the 1080p clip in a process of its own to four cameras, and measure."""
    videos = folder / "videos"
    videos.mkdir()
    make_1080p(videos)
    port = free_port()
    with Program(
        towerwatch("streams", "serve", videos, "--port", str(port)), folder / "serve.log"
    ) as program:
        url = f"rtsp://127.0.0.1:{port}/full_hd.mp4"
        wait_until(lambda: url in program.output(), what="the server")
        return measure([url] * 4, seconds)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        result = measure_four(Path(place), float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
    print(  # noqa: T201 - a measurement prints
        f"{result.streams} streams, {len(result.samples_s)} key frames: "
        f"median {result.median_s * 1000:.0f} ms, "
        f"p95 {result.p95_s * 1000:.0f} ms, max {max(result.samples_s) * 1000:.0f} ms"
    )
