"""Split by group, so that no fire, clip or camera stands on both sides; find near-duplicates across."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.train.samples import Sample
from towerwatch.errors import ConfigError

HASH_BITS_APART = 6  # of 64; frames of one clip seconds apart differ by less, other scenes by 20 and more


@dataclass(frozen=True, slots=True)
class Split:
    """Samples to learn from and samples to judge by."""

    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]


def group_by_pattern(pattern: str) -> Callable[[Path], str]:
    """Return a function that names a picture's group by the first group of ``pattern``; "" is its stem."""
    if not pattern:
        return lambda path: path.stem
    compiled = re.compile(pattern)

    def group_of(path: Path) -> str:
        match = compiled.search(path.name)
        return match.group(1) if match else path.stem

    return group_of


def group_by_csv(path: Path) -> Callable[[Path], str]:
    """Return a function that looks a picture's group up in a CSV with the columns ``file,group``."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.reader(stream) if len(row) == 2]
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from None
    table = dict(rows[1:])
    return lambda picture: table.get(picture.name, picture.stem)


def split_by_group(samples: Iterable[Sample], hold_out: Iterable[str], count: int, seed: int) -> Split:
    """Hold whole groups out: those named, and ``count`` more drawn by ``seed``.

    Raises:
        ConfigError: a group named is not there, or fewer than ``count`` groups are.

    """
    everything = tuple(samples)
    groups = sorted({sample.group for sample in everything})
    chosen = set(hold_out)
    missing = sorted(chosen - set(groups))
    if missing:
        msg = f"groups to hold out are not in the data: {', '.join(missing)}"
        raise ConfigError(msg)
    free = [group for group in groups if group not in chosen]
    if count > len(free):
        msg = f"{count} groups are to be held out, but only {len(free)} are there"
        raise ConfigError(msg)
    order = np.random.default_rng(seed).permutation(len(free))
    chosen |= {free[index] for index in order[:count]}
    return Split(
        tuple(sample for sample in everything if sample.group not in chosen),
        tuple(sample for sample in everything if sample.group in chosen),
    )


def near_duplicates(train: Iterable[Path], held_out: Iterable[Path]) -> list[tuple[Path, Path, int]]:
    """Pair pictures across the split whose perceptual hashes are at most 6 of 64 bits apart.

    The hash is taken of the picture and of its mirror image. Returns (train, held out, bits), best first.
    """
    import imagehash  # noqa: PLC0415 - in the [train] extra alone
    from PIL import Image, ImageOps  # noqa: PLC0415 - as above

    def bits(path: Path, *, mirrored: bool) -> np.ndarray:
        with Image.open(path) as picture:
            source = ImageOps.mirror(picture) if mirrored else picture
            return np.asarray(imagehash.phash(source).hash).ravel()

    left = list(train)
    right = list(held_out)
    if not left or not right:
        return []
    table = np.array([[bits(path, mirrored=flag) for path in left] for flag in (False, True)])
    found = []
    for path in right:
        apart = (table != bits(path, mirrored=False)).sum(axis=2).min(axis=0)
        found += [(left[i], path, int(apart[i])) for i in np.flatnonzero(apart <= HASH_BITS_APART)]
    return sorted(found, key=lambda row: row[2])
