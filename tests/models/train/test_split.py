from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.train.samples import Sample, box_array
from models.train.split import group_by_csv, group_by_pattern, near_duplicates, split_by_group
from towerwatch.errors import ConfigError


def samples(*groups: str) -> list[Sample]:
    return [Sample(Path(f"{group}-{i}.jpg"), box_array([]), (), group, "s") for i, group in enumerate(groups)]


def test_no_group_stands_on_both_sides() -> None:
    split = split_by_group(samples(*"aabbccddee"), ["b"], 2, seed=5)
    left, right = ({s.group for s in part} for part in (split.train, split.held_out))
    assert left.isdisjoint(right)
    assert "b" in right
    assert len(right) == 3


def test_the_same_seed_holds_out_the_same_groups() -> None:
    first, again = (split_by_group(samples(*"abcdefgh"), [], 3, seed=1).held_out for _ in range(2))
    assert [s.group for s in first] == [s.group for s in again]


@pytest.mark.parametrize(
    ("named", "count", "message"),
    [(["z"], 0, "not in the data: z"), ([], 9, "only 2 are there")],
    ids=["named", "count"],
)
def test_groups_that_are_not_there_are_an_error(named: list[str], count: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_by_group(samples("a", "b"), named, count, 0)


def test_groups_come_from_names_or_from_a_csv(tmp_path: Path) -> None:
    by_name = group_by_pattern(r"^(.+?)_mp4")
    assert by_name(Path("x/10_mp4-3_jpg.rf.1.jpg")) == "10"
    assert by_name(Path("other.jpg")) == "other"
    assert group_by_pattern("")(Path("one.jpg")) == "one"
    (tmp_path / "g.csv").write_text("file,fire\na.jpg,one\n")
    by_csv = group_by_csv(tmp_path / "g.csv")
    assert by_csv(Path("p/a.jpg")) == "one"
    assert by_csv(Path("p/b.jpg")) == "b"
    with pytest.raises(ConfigError, match="cannot be read"):
        group_by_csv(tmp_path / "none.csv")


@pytest.mark.train
def test_near_duplicates_are_found_mirrored_too(tmp_path: Path) -> None:
    pytest.importorskip("imagehash", reason="needs the [train] extra")
    rng = np.random.default_rng(0)
    scenes = [
        cv2.resize(rng.integers(0, 255, (6, 6, 3), np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    ]
    pictures = {"a": scenes[0], "b": scenes[1], "mirror": scenes[0][:, ::-1]}
    for name, picture in pictures.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    pairs = near_duplicates([tmp_path / "a.png", tmp_path / "b.png"], [tmp_path / "mirror.png"])
    assert [(left.name, right.name) for left, right, _bits in pairs] == [("a.png", "mirror.png")]
    assert near_duplicates([], [tmp_path / "a.png"]) == []
