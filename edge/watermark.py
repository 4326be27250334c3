"""The last sequence number that was ever given, kept beside the database and not in it.

Central takes a sequence number that it has seen for a repetition. A database that was put back from
a backup would give numbers a second time, for other messages: by this file it is told.
"""

from __future__ import annotations

from pathlib import Path

FILE_NAME = "outbox.last"


class Watermark:
    """One line of text: id of the outbox, and its last sequence number. Raises OSError as files do."""

    def __init__(self, folder: Path) -> None:
        """Remember where the file lies."""
        self._path = folder / FILE_NAME

    def last_of(self, outbox_id: str) -> int:
        """Return the last number that this outbox has given, as far as is known; 0 for none."""
        try:
            owner, _, number = self._path.read_text(encoding="ascii").partition(" ")
            return int(number) if owner == outbox_id else 0
        except (FileNotFoundError, ValueError):  # a power cut may leave it empty
            return 0

    def note(self, outbox_id: str, last: int) -> None:
        """Write a number down; it need not reach the disk before the message does."""
        self._path.write_text(f"{outbox_id} {last}\n", encoding="ascii")
