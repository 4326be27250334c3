"""Files that are either whole or absent, also after a power cut."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"
_CHUNK_BYTES = 1 << 20


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` to a temporary neighbour, flush it to the disk, then rename it into place.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.

    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_into_place(temporary: Path, path: Path) -> None:
    """Flush a file that somebody else wrote, rename it, and flush its folder.

    Raises:
        OSError: as :func:`write_atomic`.

    """
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path) -> str:
    """Return the digest of a file as 64 hexadecimal digits; raise OSError if it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def free_bytes(folder: Path) -> int:
    """Return the bytes free for us on the disk that holds ``folder``; 0 when it cannot be told."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
