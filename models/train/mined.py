"""Hard negatives: places in training pictures that a registered model boxes, though no label is there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from models.load import load_detector
from models.tiles import TiledDetector
from models.train.recipe import Mined
from models.train.samples import BoxArray, Sample, box_array
from models.train.teacher import KNOWN_OVERLAP, overlap_of_smaller
from models.train.tiles import read_picture


def mistaken_boxes(mined: Mined, samples: Iterable[Sample], models_dir: Path) -> dict[Path, BoxArray]:
    """Return, of each picture that has any, the boxes that no label covers; fractions of it, (n, 4)."""
    inner = load_detector(mined.model, models_dir=models_dir, confidence=mined.confidence, threads=2)
    detector = TiledDetector(inner, mined.tile_px)
    out: dict[Path, BoxArray] = {}
    for sample in samples:
        picture = read_picture(sample.picture)
        height, width = picture.shape[:2]
        found = detector.detect([picture])[0].xyxy / [width, height, width, height]
        boxes = box_array([tuple(row) for row in found])
        if len(boxes) and len(sample.boxes):
            boxes = boxes[overlap_of_smaller(boxes, sample.boxes).max(axis=1) < KNOWN_OVERLAP]
        if len(boxes):
            out[sample.picture] = boxes
    inner.close()
    return out
