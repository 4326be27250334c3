"""The floor under what a box costs: to demux its streams and decode their key frames, and nothing else.

It is measured in two ways, and a ratio names the one that it is over:

* ``alone``: one stream at full speed on one thread. Caches stay warm, no thread ever waits: what one could
  at best get by reading a file.
* ``paced``: the very streams of a box, at their own pace, a thread each, in as many processes as the box has
  workers. A thread wakes at a key frame, demuxes what came since the last, decodes, and waits again, so every
  key frame meets caches that others have filled meanwhile, as on any box that watches live cameras.
"""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import av

from benchmarks.decode import by_floor

WARM_S = 3.0


def alone(files: Sequence[Path], seconds: float) -> float:
    """Return CPU seconds per second of video, one file of ``seconds`` after the other; the median."""
    costs = []
    for path in files:
        at = time.process_time()
        by_floor(path)
        costs.append((time.process_time() - at) / seconds)
    return statistics.median(costs)


def paced(files: Sequence[Path], processes: int, seconds: float, warm_s: float = WARM_S) -> float:
    """Return CPU seconds per second of one stream, of all ``files`` at once in real time.

    ``files``: one entry a camera, so a file may stand there often, each longer than ``seconds`` and
    ``warm_s`` together, of which the latter is not counted. On a machine that cannot keep the pace, what was
    decoded counts, not what was due.

    Raises:
        EOFError: one of the processes ended; its traceback stands on standard error.

    """
    context = multiprocessing.get_context("spawn")
    players = []
    for index in range(processes):
        ours, theirs = context.Pipe()
        share = [str(path) for path in files[index::processes]]
        player = context.Process(target=_play, args=(theirs, share, seconds, warm_s), daemon=True)
        player.start()
        theirs.close()  # so that one that dies is heard of
        players.append((player, ours))
    try:
        spent: list[Spent] = [ours.recv() for _, ours in players]
    finally:
        for player, _ in players:
            player.terminate()
            player.join()
    return sum(one.cpu_s for one in spent) / sum(one.video_s for one in spent)


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of a process, and the seconds of video that its key frames stand for."""

    cpu_s: float
    video_s: float


def _play(connection: Connection, files: Sequence[str], seconds: float, warm_s: float) -> None:
    """Play files until told, in this process, and send what was spent."""
    stop = threading.Event()
    decoded_s: list[float] = []
    threads = [threading.Thread(target=_decode_keys, args=(path, stop, decoded_s)) for path in files]
    for thread in threads:
        thread.start()
    stop.wait(warm_s)
    cpu_s, before = time.process_time(), len(decoded_s)
    stop.wait(seconds)
    cpu_s, after = time.process_time() - cpu_s, len(decoded_s)
    stop.set()
    for thread in threads:
        thread.join()
    connection.send(Spent(cpu_s, sum(decoded_s[before:after])))


def _decode_keys(path: str, stop: threading.Event, decoded_s: list[float]) -> None:
    """Decode each key frame of a file when it is due; note how long after the last each comes."""
    with av.open(path) as container:
        stream, started_s, last_s = container.streams.video[0], time.monotonic(), 0.0
        codec = stream.codec_context
        codec.thread_count = 1
        for packet in container.demux(stream):
            if not packet.is_keyframe or packet.pts is None or packet.time_base is None:
                continue
            at_s = float(packet.pts * packet.time_base)
            if stop.wait(max(0.0, started_s + at_s - time.monotonic())):
                return
            codec.decode(packet)
            codec.decode(None)
            codec.flush_buffers()
            decoded_s.append(at_s - last_s)
            last_s = at_s
