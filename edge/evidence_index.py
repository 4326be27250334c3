"""Which evidence files there are, whom they belong to, and what is to be done with them.

A file is ``kept`` while its candidate may still become an alert, ``queued`` once a message names
it, ``stored`` when central has it, ``refused`` when central will never take it, ``lost`` when the
file is gone. Files lie as ``<first two digits>/<sha256>.<suffix>`` in one folder. The supervisor
alone deletes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alerts.messages import EvidenceRole
from edge.files import TEMPORARY_SUFFIX
from edge.outbox import count_up
from edge.records import EvidenceRef
from edge.store import Store

FOLDER_NAME = "evidence"
SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "video/mp4": ".mp4"}
# a worker may have found a file on the disk and be about to name it: young files are left alone
YOUNG_S = 60.0
CLIP, T0 = EvidenceRole.CLIP.value, EvidenceRole.CONTEXT_T0.value
# what goes first when the disk's share is full: condition on the index, in this order
SACRIFICE = (
    "state IN ('stored', 'refused')",
    f"state='kept' AND first_role='{CLIP}'",
    f"state='kept' AND first_role<>'{T0}'",
    "state='kept'",
    f"state='queued' AND first_role='{CLIP}'",
    f"state='queued' AND first_role<>'{T0}'",
    "state='queued'",
)


@dataclass(frozen=True, slots=True)
class Upload:
    """One file that waits to be sent."""

    sha256: str
    media_type: str
    bytes: int
    path: Path


def evidence_path(folder: Path, sha256: str, media_type: str) -> Path:
    """Return where a file with this digest lies below the evidence folder."""
    return folder / sha256[:2] / f"{sha256}{SUFFIXES[media_type]}"


class EvidenceIndex:
    """The database's side of the evidence folder."""

    def __init__(self, store: Store, folder: Path, limit_bytes: int) -> None:
        """Work on an open store; ``limit_bytes`` bounds the files."""
        self.store = store
        self.limit_bytes = limit_bytes
        self.folder = folder

    def keep(self, connection: sqlite3.Connection, alert_id: str, ref: EvidenceRef) -> None:
        """Note a provisional file of a candidate."""
        self._note(connection, alert_id, ref, "kept")

    def queue(self, connection: sqlite3.Connection, alert_id: str, refs: Iterable[EvidenceRef]) -> None:
        """Note the files that a message names; what is not at central yet will be sent."""
        for ref in refs:
            self._note(connection, alert_id, ref, "queued")

    def settle(self, connection: sqlite3.Connection, alert_id: str) -> None:
        """Let go of the provisional files of an alert that has opened or dissolved."""
        connection.execute(
            "DELETE FROM evidence_ref WHERE alert_id=? AND sha256 IN"
            " (SELECT sha256 FROM evidence WHERE state='kept')",
            (alert_id,),
        )
        connection.execute(
            "DELETE FROM evidence WHERE state='kept' AND sha256 NOT IN (SELECT sha256 FROM evidence_ref)"
        )

    def _note(self, connection: sqlite3.Connection, alert_id: str, ref: EvidenceRef, state: str) -> None:
        connection.execute(
            "INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, NULL) ON CONFLICT (sha256) DO UPDATE SET"
            " state = CASE WHEN excluded.state='queued' AND state IN ('kept', 'lost') THEN 'queued'"
            " ELSE state END,"
            " first_role = CASE WHEN excluded.first_role=? THEN excluded.first_role ELSE first_role END",
            (ref.sha256, ref.media_type, ref.bytes, state, ref.role.value, time.time(), T0),
        )
        connection.execute(
            "INSERT OR IGNORE INTO evidence_ref VALUES (?, ?, ?)", (alert_id, ref.role.value, ref.sha256)
        )

    def next_upload(self, exclude: Iterable[str] = ()) -> Upload | None:
        """Return the next file to send, pictures before clips, oldest first."""
        skip = tuple(exclude)
        marks = ",".join("?" * len(skip))
        with self.store.reading() as connection:
            row = connection.execute(
                "SELECT sha256, media_type, bytes FROM evidence WHERE state='queued'"  # noqa: S608 - marks alone
                f" AND sha256 NOT IN ({marks}) ORDER BY first_role=?, created_at LIMIT 1",
                (*skip, CLIP),
            ).fetchone()
        if row is None:
            return None
        return Upload(row[0], row[1], row[2], evidence_path(self.folder, row[0], row[1]))

    def settle_upload(self, sha256: str, state: str) -> None:
        """Note what became of an upload: ``stored``, ``refused`` or ``lost``."""
        with self.store.transaction() as connection:
            connection.execute(
                "UPDATE evidence SET state=?, stored_at=? WHERE sha256=? AND state='queued'",
                (state, time.time(), sha256),
            )
            if state != "stored":
                count_up(connection, f"evidence_{state}")

    def waiting(self) -> tuple[int, int]:
        """Return how many files wait to be sent, and their bytes."""
        with self.store.reading() as connection:
            row = connection.execute(
                "SELECT count(*), coalesce(sum(bytes), 0) FROM evidence WHERE state='queued'"
            ).fetchone()
        return int(row[0]), int(row[1])

    def dropped(self) -> int:
        """Return how many files were given up before central had them."""
        with self.store.reading() as connection:
            rows = connection.execute("SELECT value FROM meta WHERE key LIKE 'evidence\\_%' ESCAPE '\\'")
            return sum(int(row[0]) for row in rows)

    def tidy(self, retention_s: float, *, orphan_age_s: float) -> None:
        """Delete what was stored long ago, what goes beyond the bound, and files nobody names.

        Args:
            retention_s: seconds that a file stays after central has it.
            orphan_age_s: files without an entry are deleted once they are this old; 0 at start.

        """
        self._expire(retention_s)
        self._make_room()
        self._sweep(orphan_age_s)

    def _expire(self, retention_s: float) -> None:
        with self.store.transaction() as connection:
            rows = connection.execute(
                "SELECT sha256, media_type FROM evidence"
                " WHERE state IN ('stored', 'refused') AND stored_at<?",
                (time.time() - retention_s,),
            ).fetchall()
            connection.execute("DELETE FROM evidence WHERE state='lost'")
            self._forget(connection, [row[0] for row in rows])
        self._unlink(rows)

    def _make_room(self) -> None:
        gone: list[tuple[str, str]] = []
        with self.store.transaction() as connection:
            total = connection.execute(
                "SELECT coalesce(sum(bytes), 0) FROM evidence WHERE state<>'lost'"
            ).fetchone()[0]
            for condition in SACRIFICE:
                if total <= self.limit_bytes:
                    break
                rows = connection.execute(
                    f"SELECT sha256, media_type, bytes, state FROM evidence WHERE {condition}"  # noqa: S608 - constants
                    " ORDER BY created_at"
                ).fetchall()
                for sha256, media_type, size, state in rows:
                    if total <= self.limit_bytes:
                        break
                    total -= size
                    gone.append((sha256, media_type))
                    self._forget(connection, [sha256])
                    if state == "queued":
                        count_up(connection, "evidence_dropped")
        self._unlink(gone)

    def _sweep(self, orphan_age_s: float) -> None:
        now = time.time()
        with self.store.reading() as connection:
            known = {row[0] for row in connection.execute("SELECT sha256 FROM evidence")}
        for path in self._files():
            try:
                age_s = now - path.stat().st_mtime
            except FileNotFoundError:
                continue
            orphan = path.suffix == TEMPORARY_SUFFIX or path.stem not in known
            # a time stamp from the future (the clock was set back) must not keep a file for ever
            if orphan and (age_s >= orphan_age_s or age_s < -orphan_age_s):
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        return (path for path in self.folder.glob("*/*") if path.is_file())

    @staticmethod
    def _forget(connection: sqlite3.Connection, digests: list[str]) -> None:
        keys = [(sha256,) for sha256 in digests]
        connection.executemany("DELETE FROM evidence_ref WHERE sha256=?", keys)
        connection.executemany("DELETE FROM evidence WHERE sha256=?", keys)

    def _unlink(self, rows: Iterable[tuple[str, str]]) -> None:
        for sha256, media_type in rows:
            evidence_path(self.folder, sha256, media_type).unlink(missing_ok=True)
