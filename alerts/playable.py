"""Clips that a browser can play: H.264 as it is, the rest transcoded when somebody looks.

Only the room ``streams`` may touch a codec, and central may not import it: so this runs the command
``towerwatch streams transcode IN OUT`` and keeps what comes out beside the evidence.
"""

from __future__ import annotations

import mmap
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from alerts.evidence import BlobStore
from towerwatch.errors import RetryableError
from towerwatch.logs import get_logger
from towerwatch.secrets import redact

LIMIT_S = 60.0
WAIT_S = 30.0
TRY_AGAIN_S = 600.0  # a clip that could not be transcoded is left alone for so long
MAX_FAILED = 1000
PLAYABLE = frozenset({b"avc1", b"avc3"})
COMMAND = (sys.executable, "-m", "towerwatch", "streams", "transcode")

log = get_logger(__name__)


class CannotPlay(RetryableError):
    """The clip could not be made playable now."""


class Player:
    """Finds or makes the playable form of a clip; one transcoding at a time, so that looking stays cheap."""

    def __init__(self, store: BlobStore, folder: Path, command: Sequence[str] = COMMAND) -> None:
        """Keep where clips lie and where their playable forms go."""
        self._store = store
        self._folder = folder
        self._command = tuple(command)
        self._busy = threading.Lock()
        self._failed: dict[str, tuple[float, str]] = {}  # by digest: when to try again, and why not

    def playable(self, sha256: str) -> Path:
        """Return a file that browsers play.

        Raises:
            CannotPlay: the transcoder fails, has failed lately on this clip, takes too long, or is busy.

        """
        source = self._store.path(sha256)
        if codec_of(source) in PLAYABLE:
            return source
        target = self._folder / f"{sha256}.mp4"
        if target.is_file():
            return target
        if not self._busy.acquire(timeout=WAIT_S):
            msg = "another clip is being transcoded; try again"
            raise CannotPlay(msg)
        try:
            if not target.is_file():
                self._try(sha256, source, target)
        finally:
            self._busy.release()
        return target

    def forget(self, sha256: str) -> None:
        """Delete what was made of a clip that is gone."""
        (self._folder / f"{sha256}.mp4").unlink(missing_ok=True)

    def _try(self, sha256: str, source: Path, target: Path) -> None:
        """Transcode, unless it has failed lately: each look would cost a minute of a core."""
        again_s, why = self._failed.get(sha256, (0.0, ""))
        if time.monotonic() < again_s:
            raise CannotPlay(why)
        try:
            self._transcode(source, target)
        except CannotPlay as error:
            while len(self._failed) >= MAX_FAILED:
                del self._failed[next(iter(self._failed))]
            self._failed[sha256] = time.monotonic() + TRY_AGAIN_S, str(error)
            raise

    def _transcode(self, source: Path, target: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            out = Path(folder) / "out.mp4"
            try:
                done = subprocess.run(
                    [*self._command, str(source), str(out)],
                    capture_output=True,
                    text=True,
                    timeout=LIMIT_S,
                    check=False,
                    stdin=subprocess.DEVNULL,
                )
            except subprocess.TimeoutExpired:
                msg = f"transcoding took longer than {LIMIT_S:.0f} s"
                raise CannotPlay(msg) from None
            if done.returncode or not out.is_file():
                log.error("clip cannot be transcoded", clip=source.name, error=redact(done.stderr[-500:]))
                msg = "the clip cannot be transcoded"
                raise CannotPlay(msg)
            out.replace(target)


def codec_of(path: Path) -> bytes:
    """Return the four letters of the first sample entry of an MP4 file; empty where there is none."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(b"stsd")
        # ISO/IEC 14496-12, 8.5.2: 'stsd', version and flags (4), entry count (4), entry size (4), its type
        return data[at + 16 : at + 20] if at >= 0 else b""
