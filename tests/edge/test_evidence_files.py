"""Evidence on disk: written whole, bounded, deleted in the stated order, swept when nobody names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_kit import evidence_file

from alerts.messages import EvidenceRole
from edge.evidence_index import EvidenceIndex, evidence_path
from edge.files import file_sha256, free_bytes, move_into_place, write_atomic
from edge.store import Store


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[Store, EvidenceIndex]]:
    with Store(tmp_path) as store:
        yield store, EvidenceIndex(store, tmp_path / "evidence", 1 << 30)


def states(store: Store) -> dict[str, str]:
    with store.reading() as connection:
        return dict(connection.execute("SELECT sha256, state FROM evidence").fetchall())


def files(index: EvidenceIndex) -> set[str]:
    return {path.stem for path in index.folder.glob("*/*")}


def test_candidates_files_go_when_it_dissolves_and_stay_when_a_message_names_them(
    index: tuple[Store, EvidenceIndex],
) -> None:
    store, evidence = index
    t0, mid, shared = (evidence_file(evidence.folder, data) for data in (b"t0", b"mid", b"shared"))
    with store.transaction() as connection:
        for alert in ("a", "b"):
            evidence.keep(connection, alert, shared)
        evidence.keep(connection, "a", t0)
        evidence.keep(connection, "a", mid)
    assert evidence.next_upload() is None
    with store.transaction() as connection:
        evidence.queue(connection, "a", [t0, shared])
        evidence.settle(connection, "a")
        evidence.settle(connection, "b")
    assert states(store) == {t0.sha256: "queued", shared.sha256: "queued"}
    evidence.tidy(3600, orphan_age_s=0)
    assert files(evidence) == {t0.sha256, shared.sha256}
    assert evidence.waiting() == (2, t0.bytes + shared.bytes)


def test_pictures_are_sent_before_clips_and_each_once(index: tuple[Store, EvidenceIndex]) -> None:
    store, evidence = index
    clip = evidence_file(evidence.folder, b"clip", EvidenceRole.CLIP, "video/mp4")
    picture = evidence_file(evidence.folder, b"picture")
    with store.transaction() as connection:
        evidence.queue(connection, "a", [clip, picture])
    first = evidence.next_upload()
    assert first is not None
    assert (first.sha256, first.media_type) == (picture.sha256, "image/jpeg")
    second = evidence.next_upload(exclude=[picture.sha256])
    assert second is not None
    assert second.path == evidence_path(evidence.folder, clip.sha256, "video/mp4")
    evidence.settle_upload(picture.sha256, "stored")
    with store.transaction() as connection:
        evidence.queue(connection, "b", [picture])
    assert states(store)[picture.sha256] == "stored", "central has it already"


def test_stored_files_are_deleted_after_their_retention(index: tuple[Store, EvidenceIndex]) -> None:
    store, evidence = index
    ref = evidence_file(evidence.folder, b"old")
    with store.transaction() as connection:
        evidence.queue(connection, "a", [ref])
    evidence.settle_upload(ref.sha256, "stored")
    evidence.tidy(3600, orphan_age_s=0)
    assert files(evidence) == {ref.sha256}
    evidence.tidy(-1, orphan_age_s=0)
    assert files(evidence) == set()
    assert states(store) == {}


def test_over_the_bound_what_central_has_goes_first_and_the_picture_of_the_beginning_last(
    index: tuple[Store, EvidenceIndex],
) -> None:
    store, evidence = index
    size = 1000
    names = ["stored", "kept clip", "kept t0", "queued clip", "queued now", "queued t0"]
    roles = {"clip": EvidenceRole.CLIP, "t0": EvidenceRole.CONTEXT_T0}
    refs = {
        name: evidence_file(
            evidence.folder,
            name.encode().ljust(size),
            roles.get(name.split()[-1], EvidenceRole.CONTEXT_NOW),
            "video/mp4" if "clip" in name else "image/jpeg",
        )
        for name in names
    }
    with store.transaction() as connection:
        for name, ref in refs.items():
            if name.startswith("kept"):
                evidence.keep(connection, name, ref)
            else:
                evidence.queue(connection, name, [ref])
    evidence.settle_upload(refs["stored"].sha256, "stored")
    for left in range(len(names) - 1, -1, -1):
        evidence.limit_bytes = left * size
        evidence.tidy(3600, orphan_age_s=0)
        assert files(evidence) == {refs[name].sha256 for name in names[len(names) - left :]}, names[-left:]
    assert evidence.dropped() == 3


def test_orphans_are_swept_at_once_at_start_and_young_ones_left_while_running(
    index: tuple[Store, EvidenceIndex],
) -> None:
    _store, evidence = index
    orphan = evidence_file(evidence.folder, b"orphan")
    half = evidence.folder / "new" / "0123.tmp.mp4"
    half.parent.mkdir()
    half.write_bytes(b"half")
    evidence.tidy(3600, orphan_age_s=600)
    assert orphan.sha256 in files(evidence)
    path = evidence_path(evidence.folder, orphan.sha256, "image/jpeg")
    os.utime(path, (1e9, 1e9))
    evidence.tidy(3600, orphan_age_s=600)
    assert orphan.sha256 not in files(evidence)
    assert half.exists()
    evidence.tidy(3600, orphan_age_s=0)
    assert not half.exists()


def test_a_database_with_rows_everywhere_opens_again_as_the_same(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        evidence = EvidenceIndex(store, tmp_path / "evidence", 1 << 30)
        ref = evidence_file(evidence.folder, b"kept")
        with store.transaction() as connection:
            evidence.keep(connection, "a", ref)
        outbox_id = store.outbox_id
    with Store(tmp_path) as store:
        assert store.outbox_id == outbox_id
        assert states(store) == {ref.sha256: "kept"}


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"first", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o400)
    target = tmp_path / "gone" / "file"
    with pytest.raises(OSError, match="No such file"):
        write_atomic(target, b"data")
    other = tmp_path / "other"
    other.write_bytes(b"second")
    move_into_place(other, path)
    assert path.read_bytes() == b"second"
    assert file_sha256(path) == "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_room_that_cannot_be_told_counts_as_none(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
    assert free_bytes(tmp_path / "absent") == 0
