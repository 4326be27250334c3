"""Planned tiles against all of them: what counts as found, and what is run for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks import tiles
from models.detections import Detections

SIZE_PX = (1920, 1080)
PLUME = (900, 400, 940, 430)  # 40 px wide, on the horizon; the whole picture at 640 shows 13 of them


class Eye:
    """Sees what is nearly white and large enough in the picture as the model would get it."""

    name, precision, labels = "eye@1.0.0", "f32", ("smoke",)

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        return [self._one(image) for image in images]

    def _one(self, image: np.ndarray) -> Detections:
        ys, xs = np.nonzero(image.min(axis=2) > 240)
        scale = 640 / max(image.shape[:2])
        if not len(xs) or (xs.max() - xs.min()) * scale < 20:
            return Detections.empty(self.labels)
        return Detections.of([[xs.min(), ys.min(), xs.max(), ys.max()]], [0.5], [0], self.labels)

    def close(self) -> None:
        pass


def write(folder: Path, boxes: Path, name: str) -> None:
    rng = np.random.default_rng(2)
    image = np.full((SIZE_PX[1], SIZE_PX[0], 3), 180, np.uint8)
    image[430:] = rng.integers(40, 110, (*image[430:].shape[:2], 1), np.uint8)
    image[PLUME[1] : PLUME[3], PLUME[0] : PLUME[2]] = 255
    for one in (folder, boxes):
        one.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.jpg"), image)
    x, y = (PLUME[0] + PLUME[2]) / 2 / SIZE_PX[0], (PLUME[1] + PLUME[3]) / 2 / SIZE_PX[1]
    (boxes / f"{name}.txt").write_text(f"0 {x} {y} {40 / SIZE_PX[0]} {30 / SIZE_PX[1]}\n")


def test_a_far_plume_is_found_along_the_horizon_with_half_of_the_runs(tmp_path: Path) -> None:
    write(tmp_path / "images", tmp_path / "labels", "one")
    rows = tiles.measure("nemo", tiles.stills(tmp_path, quick=False), Eye())
    for row in rows:
        assert (row["plumes"], row["found"], row["found_exhaustive"]) == (1, 1, 1)
        assert (row["runs"], row["runs_exhaustive"]) == (4, 9)


def test_a_sequence_is_granted_a_quarter_of_all_runs(tmp_path: Path) -> None:
    for minute in range(4):
        write(tmp_path / "fire", tmp_path / "fire_boxes", f"{1000 + 60 * minute}_+{60 * minute:05}")
    (shots,) = tiles.sequences(tmp_path, quick=False)
    rows = tiles.measure("figlib", [shots], Eye())
    assert rows[0]["runs_ratio"] <= 0.25
    assert rows[0]["found"] > 0


def test_without_a_folder_a_fire_is_rendered_with_its_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "SIZE_PX", (320, 180))
    (shots,) = tiles.sets_of(None, tmp_path, quick=True)["rendered"]
    assert all(picture.is_file() for picture, _, _ in shots)
    truths = [tiles.truth_of(labels, (320, 180)) for _, labels, _ in shots if labels.is_file()]
    assert truths
    assert all(box.min() >= 0 and box.max() <= 320 for box in truths)


def test_overlaps_are_shared_area_over_joint_area() -> None:
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert tiles.overlap(a, b)[0] == pytest.approx([1.0, 1 / 3, 0.0])


def test_a_folder_without_pictures_ends_with_2_and_a_line(tmp_path: Path) -> None:

    app = typer.Typer()
    app.command()(tiles.main)
    result = CliRunner().invoke(app, ["--data", str(tmp_path), "--json", str(tmp_path / "out.json")])
    assert result.exit_code == 2
    assert f"--data {tmp_path}: no labelled pictures in nemo, figlib" in result.output
