"""What pictures and clips an episode gets, from its first frame to its last."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edge_kit import T0, at, event

from alerts.messages import EvidenceRole
from edge import evidence as module
from edge.config import EvidenceConfig
from edge.episode import EpisodePhase, LabelledBox
from edge.evidence import EvidenceKeeper, EvidenceWriter, close_up
from edge.evidence_index import evidence_path
from edge.records import EvidenceRef
from streams.frame import Frame

CANDIDATE, OPENED, UPDATED = EpisodePhase.CANDIDATE, EpisodePhase.OPENED, EpisodePhase.UPDATED
CLOSED, DISSOLVED = EpisodePhase.CLOSED, EpisodePhase.DISSOLVED


def frame(seconds: float) -> Frame:
    rng = np.random.default_rng(int(seconds * 10))
    return Frame(rng.integers(0, 255, (90, 160, 3), np.uint8), at(seconds), seconds, int(seconds))


class Cutter:
    """Cuts clips that hold nothing but their own limits."""

    def __init__(self) -> None:
        self.cuts: list[tuple[float, float]] = []

    def __call__(self, start: datetime, end: datetime, path: Path) -> Path | None:
        self.cuts.append(((start - T0).total_seconds(), (end - T0).total_seconds()))
        path.write_bytes(f"{start} {end}".encode())
        return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "evidence"


def keeper(folder: Path, cut: Any) -> EvidenceKeeper:
    return EvidenceKeeper(EvidenceWriter(folder), EvidenceConfig(clip_before_s=10.0, clip_after_s=5.0), cut)


def seconds_of(ref: EvidenceRef) -> float:
    return (ref.captured_at - T0).total_seconds()


def by_role(refs: tuple[EvidenceRef, ...]) -> dict[str, list[float]]:
    roles: dict[str, list[float]] = {}
    for ref in refs:
        roles.setdefault(ref.role.value, []).append(seconds_of(ref))
    return roles


def test_where_a_camera_has_a_main_stream_pictures_are_of_it(folder: Path) -> None:
    asked: list[float] = []

    def sharp(analysed: Frame) -> Frame:
        asked.append(analysed.monotonic_s)
        image = analysed.image.repeat(4, 0).repeat(4, 1)
        return Frame(image, at(analysed.monotonic_s - 0.5), analysed.monotonic_s - 0.5, 0)

    camera = EvidenceKeeper(EvidenceWriter(folder), EvidenceConfig(), None, sharp)
    camera.attend(frame(0), [])
    assert asked == [], "nothing is decoded that nobody wants"
    (changes, _) = camera.attend(frame(2), [event("a", OPENED, 0, 2), event("b", CANDIDATE, 0, 2)])
    assert asked == [2.0], "once for all that happens in a frame"
    pictures = {ref.role: ref for ref in changes[0].evidence}
    whole = cv2.imread(str(evidence_path(folder, pictures[EvidenceRole.CONTEXT_NOW].sha256, "image/jpeg")))
    assert whole is not None
    assert whole.shape == (360, 640, 3)
    assert seconds_of(pictures[EvidenceRole.CONTEXT_NOW]) == 1.5, "its own time, not the small picture's"


def test_a_parked_cars_evidence_from_first_sight_to_leaving(folder: Path) -> None:
    cutter = Cutter()
    kept: list[EvidenceRef] = []
    camera = keeper(folder, cutter)
    (changes, _) = camera.attend(frame(0), [event("a", CANDIDATE, -1, 0)])
    assert by_role(changes[0].evidence) == {"context_t0": [0]}
    for second in range(2, 300, 2):
        kept += [one.evidence for one in camera.attend(frame(second), [])[1]]
    assert by_role(tuple(kept)) == {"clip": [-10], "context_mid": [10, 20, 40, 80, 160]}
    (changes, _) = camera.attend(frame(300), [event("a", OPENED, 0, 300)])
    assert by_role(changes[0].evidence) == {
        "context_t0": [0],
        "context_mid": [160],
        "context_now": [300],
        "close_up": [300],
        "clip": [-10, 290],
    }
    for second in range(302, 360, 2):
        camera.attend(frame(second), [])
    (changes, _) = camera.attend(frame(360), [event("a", UPDATED, 1, 360)])
    assert by_role(changes[0].evidence) == {"clip": [290]}, "the clip with what came after the opening"
    assert cutter.cuts == [(-10, 5), (290, 300), (290, 305)]
    (changes, _) = camera.attend(frame(900), [event("a", UPDATED, 2, 900)])
    assert by_role(changes[0].evidence) == {"context_now": [900]}
    (changes, _) = camera.attend(frame(902), [event("a", CLOSED, 3, 902)])
    assert by_role(changes[0].evidence) == {"context_end": [902]}
    assert camera.dump() == {}


def test_the_close_up_of_a_blocked_road_shows_all_that_stand(folder: Path) -> None:
    boxes = tuple(LabelledBox("vehicle", 0.9, (x, 0.2, x + 0.1, 0.4)) for x in (0.0, 0.45, 0.9))
    blocked = replace(event("a", OPENED, 0, 0), kind="blocked_road", boxes=boxes)
    (changes, _) = keeper(folder, None).attend(frame(0), [blocked])
    (cut,) = (one for one in changes[0].evidence if one.role is EvidenceRole.CLOSE_UP)
    picture = cv2.imread(str(evidence_path(folder, cut.sha256, "image/jpeg")))
    assert picture is not None
    assert picture.shape[1] == 160


def test_six_cars_on_one_frame_share_one_picture_and_one_clip(folder: Path) -> None:
    cutter = Cutter()
    camera = keeper(folder, cutter)
    ids = [f"{n}" for n in range(6)]
    (changes, _) = camera.attend(frame(0), [event(one, CANDIDATE, -1, 0) for one in ids])
    assert len({change.evidence[0].sha256 for change in changes}) == 1
    (_, kept) = camera.attend(frame(6), [])
    assert len(kept) == 6
    assert cutter.cuts == [(-10, 5)]
    assert len(list(folder.glob("*/*.*"))) == 2


def test_an_alert_without_a_candidate_before_it_still_has_its_pictures(folder: Path) -> None:
    camera = keeper(folder, None)
    (changes, _) = camera.attend(frame(0), [event("a", OPENED, 0, 0)])
    assert by_role(changes[0].evidence) == {"context_t0": [0], "context_now": [0], "close_up": [0]}
    (changes, _) = camera.attend(frame(9), [event("b", UPDATED, 4, 9), event("c", CLOSED, 2, 9)])
    assert [by_role(change.evidence) for change in changes] == [{"context_now": [9]}, {"context_end": [9]}]


def test_pictures_are_the_frames_own_pixels_under_their_digest(folder: Path) -> None:
    ramp = np.linspace(0, 255, 160, dtype=np.uint8)
    seen = Frame(np.repeat(np.repeat(ramp[None, :, None], 90, 0), 3, 2), at(3), 3.0, 3)
    ref = EvidenceWriter(folder, 100).picture(seen.image, EvidenceRole.CONTEXT_NOW, seen.captured_at)
    assert ref is not None
    path = evidence_path(folder, ref.sha256, ref.media_type)
    picture = cv2.imread(str(path))
    assert picture is not None
    assert path.stat().st_size == ref.bytes
    assert np.abs(picture.astype(int) - seen.image).max() <= 2


def test_what_was_kept_survives_a_restart_and_dissolves_with_its_episode(folder: Path) -> None:
    camera = keeper(folder, Cutter())
    camera.attend(frame(0), [event("a", CANDIDATE, -1, 0), event("b", CANDIDATE, -1, 0)])
    camera.attend(frame(12), [])
    again = keeper(folder, Cutter())
    again.load(json.loads(json.dumps(camera.dump())), frozenset({"a"}))
    (changes, _) = again.attend(frame(30), [event("a", OPENED, 0, 30), event("b", DISSOLVED, -1, 30)])
    assert by_role(changes[0].evidence)["context_t0"] == [0]
    assert by_role(changes[0].evidence)["clip"] == [-10, 20]
    assert changes[1].evidence == ()
    third = keeper(folder, Cutter())
    third.load(json.loads(json.dumps(again.dump())), frozenset({"a"}))
    (changes, _) = third.attend(frame(31), [event("a", CLOSED, 1, 31)])
    assert "context_end" in by_role(changes[0].evidence)


@pytest.mark.parametrize("trouble", ["disk nearly full", "folder is a file", "clip fails", "nothing to cut"])
def test_evidence_that_cannot_be_written_costs_no_alert(
    folder: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_start: datetime, _end: datetime, path: Path) -> Path | None:
        if trouble == "clip fails":
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        return None

    if trouble == "disk nearly full":
        monkeypatch.setattr(module, "free_bytes", lambda _folder: 1 << 20)
    if trouble == "folder is a file":
        folder.write_bytes(b"")
    camera = keeper(folder, cut)
    (changes, _) = camera.attend(frame(0), [event("a", OPENED, 0, 0)])
    expected = {"context_t0", "context_now", "close_up"} if "clip" in trouble or "cut" in trouble else set()
    assert set(by_role(changes[0].evidence)) == expected
    if folder.is_dir():
        assert not list(folder.glob("*/*.tmp*"))


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((0.25, 0.25, 0.75, 0.75), (200, 400)),
        ((0.0, 0.0, 0.01, 0.01), (49, 50)),
        ((0.9, 0.9, 1.0, 1.0), (58, 68)),
        ((0.5, 0.5, 0.5, 0.6), None),
    ],
    ids=["margin of half the box", "tiny box in a corner", "margin cut at the edge", "no area"],
)
def test_close_up_shows_the_object_with_its_surroundings(box: Any, shape: tuple[int, int] | None) -> None:
    cut = close_up(np.zeros((200, 400, 3), np.uint8), box, 0.5)
    assert (None if cut is None else cut.shape[:2]) == shape


def test_the_same_bytes_are_written_once_and_made_young_again(folder: Path) -> None:
    writer = EvidenceWriter(folder)
    seen = frame(1)
    first = writer.picture(seen.image, EvidenceRole.CONTEXT_NOW, seen.captured_at)
    assert first is not None
    path = evidence_path(folder, first.sha256, first.media_type)
    os.utime(path, (1e9, 1e9))
    assert writer.picture(seen.image, EvidenceRole.CONTEXT_NOW, seen.captured_at) == first
    assert path.stat().st_mtime > 1e9 + 1
    cutter = Cutter()
    assert writer.clip(cutter, at(0), at(1)) == writer.clip(cutter, at(0), at(1))
