"""A folder with one small model of the site's own, imported the way a user does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_onnx as tiny

from models.importer import ImportOptions, import_model


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "site-models"


@pytest.fixture
def add_model(tmp_path: Path, models_dir: Path) -> Callable[..., Path]:
    """Return a function that imports a tiny YOLOv8 model and gives its folder."""

    def add(name: str = "tiny", version: str = "1.0.0", outputs=None, **options) -> Path:
        file = tiny.write(
            tmp_path / f"{name}-{version}.onnx", outputs or {"output0": tiny.yolov8()}, **options
        )
        import_model(file, name, version, ImportOptions(labels=tiny.LABELS), models_dir)
        return models_dir / name / version

    return add


@pytest.fixture
def picture() -> np.ndarray:
    """A picture twice the size of the tiny models' input."""
    return np.full((tiny.SIZE[1] * 2, tiny.SIZE[0] * 2, 3), 90, np.uint8)
