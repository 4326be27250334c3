"""The streams of the density benchmark: rendered once, and made as long as a run by repeating packets.

A stream is a NUT file, because that holds H.264 as RTSP brings it (Annex B, parameter sets in band),
and a box plays a file in real time through the same reader as a camera: no server shares the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from benchmarks.clips import FPS, KEY_FRAME_S
from streams.simulator import Scene, TruthZone, open_scene

SIZE_PX = (1920, 1080)
LOOP_S = 6
BIT_RATE = 4_200_000
SCENE_S = 300.0
PHASES = 5  # key frames of all cameras at one instant would be a load that no real site has

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """A scene from ``from_s`` on; without ``moves`` it is held still under living sensor grain."""

    name: str
    scene: str
    seed: int
    from_s: float
    moves: bool

    def open(self) -> Scene:
        """Open the scene where the stream begins."""
        scene = open_scene(self.scene, self.seed, SCENE_S, SIZE_PX)
        scene.boxes(self.from_s)
        return scene

    def pictures(self) -> Iterator[Picture]:
        """Yield one loop's pictures, uint8 BGR."""
        scene = self.open()
        for index in range(LOOP_S * FPS):
            if self.moves:
                scene.boxes(self.from_s + index / FPS)
            yield scene.picture()

    @property
    def zone(self) -> TruthZone:
        """The area that the scene's rules watch."""
        return self.open().zones[0]


TRAFFICS = {  # by vehicles that move in a picture, on average, as the scene's own truth has it
    8: StreamPlan("traffic-8", "road-free", seed=24, from_s=18.0, moves=True),
    13: StreamPlan("traffic-13", "road-free", seed=8, from_s=18.0, moves=True),
    20: StreamPlan("traffic-20", "road-free", seed=3, from_s=66.0, moves=True),
    28: StreamPlan("traffic", "arterial-lawful", seed=3, from_s=40.0, moves=True),  # the road has filled
}
USUAL, DENSE = 8, 28
QUIET = StreamPlan("quiet", "street-lawful", seed=7, from_s=0.0, moves=False)  # cars parked where they may


def nearest_traffic(vehicles: int) -> int:
    """Return the number of :data:`TRAFFICS` nearest to a wish."""
    return min(TRAFFICS, key=lambda number: abs(number - vehicles))


def loop_of(plan: StreamPlan, cache: Path) -> Path:
    """Return one loop of a stream, rendered and encoded unless it lies in ``cache``."""
    path = cache / f"{plan.name}-{plan.scene}-{plan.seed}-{plan.from_s:g}-{LOOP_S}s-{BIT_RATE // 1000}k.nut"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.nut")
        _encode(plan.pictures(), partial)
        partial.replace(path)
    return path


def _encode(pictures: Iterator[Picture], path: Path) -> None:
    gop = FPS * KEY_FRAME_S
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *SIZE_PX, "yuv420p"
        stream.bit_rate = BIT_RATE
        stream.time_base = Fraction(1, FPS)
        stream.options = {
            "preset": "superfast",
            "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:repeat-headers=1:annexb=1:"
            f"vbv-maxrate={BIT_RATE * 3 // 2000}:vbv-bufsize={BIT_RATE * 2 // 1000}",
        }
        for index, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def lengthened(loop: Path, seconds: float, phase: int, path: Path) -> Path:
    """Write ``loop`` over and over, without encoding, until ``seconds`` are full.

    In ``phase`` k of :data:`PHASES` the first group of pictures is cut short, so that key frames come
    at other instants than in other phases.
    """
    with av.open(str(loop)) as source:
        stream = source.streams.video[0]
        time_base = stream.time_base or Fraction(1, FPS)
        tick = Fraction(1, FPS) / time_base
        packets = [(bytes(packet), packet.is_keyframe) for packet in source.demux(stream) if packet.size]
        with av.open(str(path), "w") as target:
            out = target.add_stream_from_template(stream)
            for number, (data, is_key) in enumerate(_repeated(packets, phase, round(seconds * FPS))):
                packet = av.Packet(data)
                packet.pts = packet.dts = round(number * tick)
                packet.time_base, packet.stream, packet.is_keyframe = time_base, out, is_key
                target.mux(packet)
    return path


def _repeated(packets: list[tuple[bytes, bool]], phase: int, count: int) -> Iterator[tuple[bytes, bool]]:
    gop = FPS * KEY_FRAME_S
    first = packets[: gop - phase * gop // PHASES]
    given = 0
    while given < count:
        yield from first if given == 0 else packets
        given += len(first) if given == 0 else len(packets)


def streams_of(
    plans: Sequence[StreamPlan], cache: Path, seconds: float, folder: Path, said: Callable[[str], None]
) -> dict[str, list[Path]]:
    """Return the files of every plan, one a phase, ``seconds`` long."""
    files: dict[str, list[Path]] = {}
    for plan in plans:
        said(f"stream {plan.name}: {plan.scene}, {seconds:.0f} s")
        loop = loop_of(plan, cache)
        files[plan.name] = [
            lengthened(loop, seconds, phase, folder / f"{plan.name}-{phase}.nut") for phase in range(PHASES)
        ]
    return files
