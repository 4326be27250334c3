"""From a recipe and a data folder to a folder of training pictures, with a record and a digest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from models.load import load_detector
from models.train.layouts import Layout
from models.train.mined import mistaken_boxes
from models.train.readers import READERS
from models.train.recipe import ComposedSource, FileSource, Recipe, Teacher
from models.train.samples import BoxArray, DataProblem, Sample
from models.train.smoke_composer import compose_lookalike, compose_plume
from models.train.split import Split, group_by_csv, group_by_pattern, near_duplicates, split_by_group
from models.train.street_composer import compose_street
from models.train.teacher import complete, teacher_boxes
from models.train.tiles import PAD_VALUE, Tile, add_seams, cut_tile, read_picture, recompress, whole

RECORD = "record.json"
GROUND_TRIES = 12
GREY_SHARE = 0.01  # of a background that may be padding
Progress = Callable[[str], None]


@dataclass(slots=True)
class Prepared:
    """What was laid out: where, how much, what was left out, and its digest."""

    folder: Path
    digest: str
    counts: dict[str, dict[str, int]]
    problems: list[DataProblem] = field(default_factory=list)


def read_source(source: FileSource, data: Path, seed: int) -> tuple[Split, list[DataProblem]]:
    """Read one source and split it by group."""
    folder = data / source.path
    group_of = group_by_csv(folder / source.group_csv) if source.group_csv else group_by_pattern(source.group)
    annotations = folder / source.annotations if source.annotations else None
    reading = READERS[source.reader](Layout(source.id, folder, source.classes, group_of, annotations))
    samples = [sample for sample in reading.samples if sample.group not in source.drop]
    if source.only_empty:
        samples = [sample for sample in samples if not len(sample.boxes)]
    split = split_by_group(samples, source.hold_out, source.hold_out_count, seed)
    if source.limit is not None and len(split.train) > source.limit:
        order = np.random.default_rng(seed).permutation(len(split.train))[: source.limit]
        split = Split(tuple(split.train[index] for index in sorted(order)), split.held_out)
    problems = list(reading.problems)
    if reading.ignored:
        counts = ", ".join(f"{name} ({count})" for name, count in sorted(reading.ignored.items()))
        message = f"boxes of classes that the recipe does not name are left out: {counts}"
        problems.append(DataProblem(folder, None, message))
    return split, problems


def drop_duplicates(splits: Mapping[str, Split]) -> tuple[dict[str, Split], list[DataProblem]]:
    """Take pictures out of training that are near-duplicates of held-out ones, of any source."""
    pairs = near_duplicates(
        [sample.picture for split in splits.values() for sample in split.train],
        [sample.picture for split in splits.values() for sample in split.held_out],
    )
    twins = {train: (held, bits) for train, held, bits in reversed(pairs)}
    problems = [
        DataProblem(path, None, f"near-duplicate ({bits} bits) of held-out {held.name}; left out of training")
        for path, (held, bits) in sorted(twins.items())
    ]
    kept = {
        name: Split(tuple(s for s in split.train if s.picture not in twins), split.held_out)
        for name, split in splits.items()
    }
    return kept, problems


def prepare(recipe: Recipe, data: Path, models_dir: Path, folder: Path, say: Progress) -> Prepared:
    """Lay out ``images/{train,val}`` and ``labels/{train,val}`` under ``folder``.

    Idempotent: a folder whose record carries the digest of this recipe is kept as it is. All
    randomness comes from the recipe's seed; the digest covers the recipe, every training picture
    and every label.

    Raises:
        ConfigError: a folder, group or teacher that the recipe names is not there.

    """
    record = folder / RECORD
    recipe_text = recipe.model_dump_json(exclude={"fit", "card"})
    if record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["recipe"] == recipe_text:
            return Prepared(folder, known["digest"], known["counts"])
    shutil.rmtree(folder, ignore_errors=True)
    writer = _Writer(folder, recipe.labels)
    problems: list[DataProblem] = []
    splits: dict[str, Split] = {}
    for source in recipe.sources:
        splits[source.id], found = read_source(source, data, recipe.seed)
        problems += found
    splits, twins = drop_duplicates(splits)
    problems += twins
    for number, source in enumerate(recipe.sources):
        split = splits[source.id]
        if source.teacher is not None:
            split = _taught(split, source.teacher, models_dir)
        splits[source.id] = split
        say(f"{source.id}: {len(split.train)} to train on, {len(split.held_out)} held out")
        rng = np.random.default_rng([recipe.seed, number])
        mistaken = mistaken_boxes(source.mined, split.train, models_dir) if source.mined else {}
        writer.write_all(source.id, "train", _tiles(source, split, mistaken, recipe.tile_px, rng))
        writer.write_all(source.id, "val", _wholes(split, recipe.tile_px))
    for number, composed in enumerate(recipe.composed):
        rng = np.random.default_rng([recipe.seed, 1000 + number])
        for part, count in (("train", composed.count), ("val", composed.validation_count)):
            writer.write_all(composed.id, part, _composed(composed, count, splits, recipe, rng))
        say(f"{composed.id}: {composed.count} composed")
    return _finish(writer, recipe, recipe_text, problems)


def _finish(writer: _Writer, recipe: Recipe, recipe_text: str, problems: list[DataProblem]) -> Prepared:
    digest = hashlib.sha256((recipe_text + writer.digest.hexdigest()).encode()).hexdigest()
    names = "".join(f"  {index}: {label}\n" for index, label in enumerate(recipe.labels))
    text = f"path: {writer.folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}"
    (writer.folder / "data.yaml").write_text(text, encoding="utf-8")
    (writer.folder / "problems.txt").write_text("".join(f"{item}\n" for item in problems), encoding="utf-8")
    counts = {source: dict(counter) for source, counter in writer.counts.items()}
    record = {"recipe": recipe_text, "digest": digest, "counts": counts}
    (writer.folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return Prepared(writer.folder, digest, counts, problems)


class _Writer:
    """Writes tiles as JPEG and labels as YOLO text, counts them and keeps the digest."""

    def __init__(self, folder: Path, labels: tuple[str, ...]) -> None:
        self.folder = folder
        self.labels = labels
        self.digest = hashlib.sha256()
        self.counts: dict[str, Counter[str]] = {}

    def write_all(self, source: str, part: str, tiles: Iterator[Tile]) -> None:
        images, labels = (self.folder / kind / part for kind in ("images", "labels"))
        for path in (images, labels):
            path.mkdir(parents=True, exist_ok=True)
        counter = self.counts.setdefault(source, Counter())
        for number, tile in enumerate(tiles):
            stem = f"{source}_{number:05d}"
            _done, data = cv2.imencode(".jpg", tile.picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
            text = "".join(
                self._line(box, label, tile.picture.shape[0])
                for box, label in zip(tile.boxes, tile.labels, strict=True)
            )
            (images / f"{stem}.jpg").write_bytes(data.tobytes())
            (labels / f"{stem}.txt").write_text(text, encoding="utf-8")
            self.digest.update(hashlib.sha256(data.tobytes()).digest() + f"{part}/{stem}\n{text}".encode())
            counter[f"{part}_pictures"] += 1
            counter[f"{part}_boxes"] += len(tile.labels)
            counter[f"{part}_empty"] += not tile.labels

    def _line(self, box: np.ndarray, label: str, size: int) -> str:
        x1, y1, x2, y2 = box / size
        numbers = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        return f"{self.labels.index(label)} " + " ".join(f"{number:.6f}" for number in numbers) + "\n"


def _tiles(
    source: FileSource, split: Split, mistaken: Mapping[Path, BoxArray], size: int, rng: np.random.Generator
) -> Iterator[Tile]:
    for sample in split.train:
        picture = read_picture(sample.picture)
        places = mistaken.get(sample.picture)
        for _ in range(source.tiles.per_picture):
            seamed = rng.random() < source.tiles.seam_frac
            whole_picture = add_seams(picture, int(rng.integers(2, 7)), rng) if seamed else picture
            about = (
                places if source.mined and places is not None and rng.random() < source.mined.frac else None
            )
            tile = cut_tile(whole_picture, sample.boxes, sample.labels, source.tiles, size, rng, about)
            yield Tile(recompress(tile.picture, rng), tile.boxes, tile.labels) if seamed else tile


def _wholes(split: Split, size: int) -> Iterator[Tile]:
    for sample in split.held_out:
        yield whole(read_picture(sample.picture), sample.boxes, sample.labels, size)


def _taught(split: Split, teacher: Teacher, models_dir: Path) -> Split:
    detector = load_detector(teacher.model, models_dir=models_dir, confidence=teacher.confidence, threads=2)
    train = []
    for sample in split.train:
        boxes = teacher_boxes(detector, read_picture(sample.picture), teacher.labels)
        if teacher.mode == "complete":
            train.append(complete(sample, boxes, teacher.to))
        elif len(boxes) == 0:
            train.append(sample)
    detector.close()
    return Split(tuple(train), split.held_out)


def _composed(
    source: ComposedSource, count: int, splits: dict[str, Split], recipe: Recipe, rng: np.random.Generator
) -> Iterator[Tile]:
    pool = [sample for name in source.backgrounds for sample in splits[name].train]
    if source.composer == "street":
        grounds = [sample.picture for sample in pool if not len(sample.boxes)]
        for _ in range(count):
            yield compose_street(recipe.tile_px, recipe.labels[0], rng, grounds)
        return
    for _ in range(count):
        tile = _ground(pool, source, recipe.tile_px, rng)
        if source.composer == "plume":
            yield compose_plume(tile, recipe.labels[0], rng)
        else:
            yield compose_lookalike(tile, rng)


def _ground(pool: Sequence[Sample], source: ComposedSource, size: int, rng: np.random.Generator) -> Tile:
    """Cut a background, one without a labelled thing or painted-over part where a few tries find one."""
    for _try in range(GROUND_TRIES):
        sample = pool[int(rng.integers(len(pool)))]
        picture = read_picture(sample.picture)
        tile = cut_tile(picture, sample.boxes, sample.labels, source.tiles, size, rng)
        if not tile.labels and (tile.picture == PAD_VALUE).all(axis=2).mean() < GREY_SHARE:
            break
    if rng.random() < source.tiles.seam_frac:
        return Tile(add_seams(tile.picture, int(rng.integers(1, 4)), rng), tile.boxes, tile.labels)
    return tile
