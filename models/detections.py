"""All boxes of one picture as a struct of arrays, validated once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The boxes that a detector found in one picture.

    Attributes:
        xyxy: float32, shape (n, 4): left, top, right, bottom in pixels of the picture given in.
        confidence: float32, shape (n,), in [0, 1].
        class_id: int32, shape (n,), index into ``labels``.
        labels: class names of the model.

    Arrays are read-only. Order is by falling confidence as the detector gives it.

    """

    xyxy: FloatArray
    confidence: FloatArray
    class_id: IntArray
    labels: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check shapes and types against each other; raise ValueError with both shapes."""
        n = self.xyxy.shape[0] if self.xyxy.ndim else -1
        for name, array, shape, dtype in (
            ("xyxy", self.xyxy, (n, 4), np.float32),
            ("confidence", self.confidence, (n,), np.float32),
            ("class_id", self.class_id, (n,), np.int32),
        ):
            if array.shape != shape or array.dtype != dtype:
                msg = f"{name}: expected {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}"
                raise ValueError(msg)
            array.flags.writeable = False
        if n and self.labels and int(self.class_id.max()) >= len(self.labels):
            msg = f"class_id {int(self.class_id.max())} has no label among {len(self.labels)}"
            raise ValueError(msg)

    def __len__(self) -> int:
        """Count the boxes."""
        return int(self.xyxy.shape[0])

    @classmethod
    def empty(cls, labels: tuple[str, ...] = ()) -> Detections:
        """Make a value without boxes."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), labels)

    @classmethod
    def of(
        cls,
        xyxy: Sequence[Sequence[float]],
        confidence: Sequence[float],
        class_id: Sequence[int],
        labels: tuple[str, ...] = (),
    ) -> Detections:
        """Make a value from plain sequences."""
        return cls(
            np.asarray(xyxy, np.float32).reshape(-1, 4),
            np.asarray(confidence, np.float32),
            np.asarray(class_id, np.int32),
            labels,
        )

    def select(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Detections:
        """Return the boxes that a boolean mask or an index array picks."""
        return Detections(self.xyxy[keep], self.confidence[keep], self.class_id[keep], self.labels)

    def with_labels(self, wanted: Sequence[str]) -> Detections:
        """Return the boxes whose class name is in ``wanted``; unknown names match nothing."""
        ids = [i for i, name in enumerate(self.labels) if name in set(wanted)]
        return self.select(np.isin(self.class_id, ids))

    def label_of(self, index: int) -> str:
        """Return the class name of one box."""
        return self.labels[int(self.class_id[index])]
