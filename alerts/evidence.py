"""Pictures, clips and artifacts as files named by their digest; nothing wrong ever bears the name.

A file is written beside its place, synced, checked, and renamed. A process killed in between leaves a
temporary file, which the next start removes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from alerts.store import journal
from alerts.store.database import Database
from alerts.store.tables import Alert, Artifact, EvidenceBlob, EvidenceRef
from towerwatch.errors import PermanentError
from towerwatch.timebase import utc_now

DIGEST = re.compile(r"[0-9a-f]{64}")
CHUNK = 1 << 20
STALE_S = 3600.0
MAGIC: dict[str, tuple[int, bytes]] = {
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "video/mp4": (4, b"ftyp"),
}


class WrongFile(PermanentError):
    """The bytes are not what they were said to be: digest or type differ."""


class TooLarge(PermanentError):
    """More bytes than the store takes."""


class BlobStore:
    """A folder of files named by SHA-256."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder; :meth:`open` makes it."""
        self.folder = folder
        self._partial = folder / "partial"

    def open(self) -> None:
        """Make the folder, and remove what an interrupted write left."""
        self._partial.mkdir(parents=True, exist_ok=True)
        for left in self._partial.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > STALE_S:
                    left.unlink()

    def path(self, sha256: str) -> Path:
        """Return where a digest lies or would lie; raise ValueError for what is no digest."""
        if not DIGEST.fullmatch(sha256):
            msg = f"{sha256!r} is no SHA-256 in lower-case hexadecimal"
            raise ValueError(msg)
        return self.folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Say whether the file is here."""
        return self.path(sha256).is_file()

    def remove(self, sha256: str) -> None:
        """Delete the file; one that is not here is no error."""
        self.path(sha256).unlink(missing_ok=True)

    async def receive(
        self, sha256: str, chunks: AsyncIterator[bytes], *, max_bytes: int, media_type: str
    ) -> int:
        """Write a stream under its digest; return its bytes. The disk is waited for in a thread.

        Raises:
            TooLarge: it exceeds ``max_bytes``; reading stops there.
            WrongFile: its digest or its first bytes are not as said.
            OSError: the disk is full or fails.

        """
        with self._writing(sha256, media_type) as writer:
            async for piece in _gathered(chunks):
                await run_in_threadpool(writer.add, piece, max_bytes)
            return await run_in_threadpool(writer.finish)

    def add_bytes(self, data: bytes) -> str:
        """Keep some bytes; return their digest."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.has(sha256):
            with self._writing(sha256, None) as writer:
                writer.add(data, None)
                writer.finish()
        return sha256

    def add_file(self, source: Path) -> tuple[str, int]:
        """Copy a file in; return its digest and bytes."""
        hasher = hashlib.sha256()
        with source.open("rb") as stream:
            for chunk in _chunks(stream):
                hasher.update(chunk)
        sha256 = hasher.hexdigest()
        with self._writing(sha256, None) as writer, source.open("rb") as stream:
            for chunk in _chunks(stream):
                writer.add(chunk, None)
            return sha256, writer.finish()

    @contextmanager
    def _writing(self, sha256: str, media_type: str | None) -> Iterator[_Writer]:
        target = self.path(sha256)
        handle, name = tempfile.mkstemp(dir=self._partial, prefix=sha256[:8])
        try:
            with os.fdopen(handle, "wb") as stream:
                yield _Writer(stream, Path(name), target, sha256, media_type)
        finally:
            Path(name).unlink(missing_ok=True)


class _Writer:
    """One file on its way into the store."""

    def __init__(
        self, stream: BinaryIO, partial: Path, target: Path, sha256: str, media_type: str | None
    ) -> None:
        self._stream = stream
        self._partial = partial
        self._target = target
        self._sha256 = sha256
        self._media_type = media_type
        self._hasher = hashlib.sha256()
        self._head = b""
        self._bytes = 0

    def add(self, chunk: bytes, max_bytes: int | None) -> None:
        """Write one more piece."""
        self._bytes += len(chunk)
        if max_bytes is not None and self._bytes > max_bytes:
            msg = f"more than {max_bytes} bytes"
            raise TooLarge(msg)
        if len(self._head) < 16:
            self._head += chunk[:16]
        self._hasher.update(chunk)
        self._stream.write(chunk)

    def finish(self) -> int:
        """Check, sync and rename; return the bytes."""
        found = self._hasher.hexdigest()
        if found != self._sha256:
            msg = f"the bytes have SHA-256 {found}, not {self._sha256}"
            raise WrongFile(msg)
        if self._media_type is not None and not looks_like(self._head, self._media_type):
            msg = f"the bytes do not begin as {self._media_type} does"
            raise WrongFile(msg)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._target.parent.mkdir(exist_ok=True)
        self._partial.chmod(0o640)
        self._partial.replace(self._target)
        _sync_folder(self._target.parent)
        return self._bytes


def looks_like(head: bytes, media_type: str) -> bool:
    """Say whether a file's first 16 bytes fit its media type; an unknown type never fits."""
    if media_type not in MAGIC:
        return False
    offset, magic = MAGIC[media_type]
    return head[offset : offset + len(magic)] == magic


def picture_type(data: bytes) -> str | None:
    """Return the media type of a picture by its first bytes; None for what is none that we take."""
    types = (name for name in MAGIC if name.startswith("image/") and looks_like(data[:16], name))
    return next(types, None)


def note_evidence(database: Database, sha256: str, size: int, media_type: str, edge: str) -> None:
    """Enter a file that has come, and tell the incidents that wait for it."""
    values = {
        "bytes": size,
        "media_type": media_type,
        "edge": edge,
        "received_at": utc_now(),
        "deleted_at": None,
    }
    insert: Any = database.insert(EvidenceBlob).values(sha256=sha256, **values)
    came_back = EvidenceBlob.deleted_at.is_not(None)
    with database.write() as session:
        session.execute(insert.on_conflict_do_update(index_elements=["sha256"], set_=values, where=came_back))
        waiting = session.scalars(
            select(Alert.incident_id)
            .join(EvidenceRef, EvidenceRef.alert_id == Alert.id)
            .where(EvidenceRef.sha256 == sha256)
            .distinct()
        ).all()
        for incident_id in waiting:
            journal.changed(session, "incident", str(incident_id), "evidence")


def keep_picture(store: BlobStore, database: Database, data: bytes, media_type: str, person: str) -> str:
    """Keep a picture that a person has sent; return its digest."""
    sha256 = store.add_bytes(data)
    note_evidence(database, sha256, len(data), media_type, person)
    return sha256


def media_type_of(database: Database, sha256: str) -> str | None:
    """Return the type under which a file came; None for one that is not here."""
    with database.read() as session:
        here = EvidenceBlob.sha256 == sha256, EvidenceBlob.deleted_at.is_(None)
        return session.scalar(select(EvidenceBlob.media_type).where(*here))


def add_artifact(database: Database, store: BlobStore, source: Path, name: str | None = None) -> str:
    """Put a model or configuration where boxes can fetch it; return its digest."""
    sha256, size = store.add_file(source)
    with database.write() as session:
        values = {"sha256": sha256, "name": name or source.name, "bytes": size, "added_at": utc_now()}
        session.execute(database.insert(Artifact).values(**values).on_conflict_do_nothing())
    return sha256


def copy_to(store: BlobStore, sha256: str, target: Path) -> bool:
    """Copy a stored file; False when it is not here."""
    if not store.has(sha256):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(store.path(sha256), target)
    return True


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield pieces of about :data:`CHUNK` bytes, so that a picture costs one way to the thread and back."""
    piece = bytearray()
    async for chunk in chunks:
        piece += chunk
        if len(piece) >= CHUNK:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
