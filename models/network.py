"""A detector made of a manifest and a loaded graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.decoders import HeadShape, decode
from models.detections import Detections, FloatArray
from models.errors import ModelFileError
from models.letterbox import Letterbox, part_px, snug_px
from models.manifest import InputSpec, Manifest, Thresholds
from models.nms import nms
from models.runtimes import DEFAULT_BATCH, Runtime
from models.tiles import Tile

# sides of a part, in pixels of the input, are multiples of these: a runtime keeps some 10 MiB for each size
PART_STEPS_PX = (128, 64)
PART_FRAC = 0.75  # of the whole picture: a part that is no smaller saves less than it may cost


def to_blob(letterboxed: npt.NDArray[np.uint8], spec: InputSpec, out: FloatArray) -> None:
    """Write a letterboxed BGR picture (h, w, 3) into ``out`` (3, h, w) as the model wants it."""
    planes = letterboxed.transpose(2, 0, 1)
    if spec.colour == "rgb":
        planes = planes[::-1]
    for plane, target, mean, std in zip(planes, out, spec.mean, spec.std, strict=True):
        np.multiply(plane, np.float32(spec.scale / std), out=target)
        if mean:
            np.subtract(target, np.float32(mean / std), out=target)


class NetworkDetector:
    """Letterbox, network, decoder and NMS; satisfies :class:`models.detector.Detector`."""

    def __init__(
        self,
        manifest: Manifest,
        runtime: Runtime,
        precision: str,
        thresholds: Thresholds,
        *,
        batch: int = DEFAULT_BATCH,
    ) -> None:
        """Take a loaded graph; ``thresholds`` may differ from the manifest's."""
        self._manifest = manifest
        self._runtime: Runtime | None = runtime
        self._thresholds = thresholds
        self._batch = batch
        self.name = manifest.reference
        self.precision = precision
        self.labels = manifest.labels
        self.runtime_description = runtime.description
        self._input_px = (manifest.input.width_px, manifest.input.height_px)
        self._check_input(runtime)

    def _check_input(self, runtime: Runtime) -> None:
        shape = runtime.input.shape
        wanted = (None, 3, self._input_px[1], self._input_px[0])
        sides_fit = len(shape) == 4 and all(
            have is None or want is None or have == want for have, want in zip(shape, wanted, strict=True)
        )
        if runtime.input.name != self._manifest.input.name or not sides_fit:
            msg = (
                f"{self.name}: the manifest names input {self._manifest.input.name} {wanted}, "
                f"the file has {runtime.input.name} {shape}"
            )
            raise ModelFileError(msg)
        self._fixed_batch = shape[0] or (None if self._manifest.input.dynamic_batch else 1)

    @property
    def input_px(self) -> tuple[int, int]:
        """Width and height of the model's input in pixels."""
        return self._input_px

    def warm_up(self) -> None:
        """Run one grey picture, so that the first real one pays no start-up cost.

        Raises:
            ModelFileError: the outputs are not what the manifest's decoder wants.

        """
        grey = np.full((self._input_px[1], self._input_px[0], 3), self._manifest.input.pad_value, np.uint8)
        try:
            self.detect([grey])
        except ValueError as error:
            msg = f"{self.name}: the file does not fit its manifest: {error}"
            raise ModelFileError(msg) from None

    @property
    def _is_free(self) -> bool:
        """Whether the graph takes any size, and a picture keeps its proportions in it."""
        return self._manifest.input.dynamic_sides and self._manifest.input.placement != "stretch"

    def part_of(self, size_px: tuple[int, int], wanted: Tile) -> Tile:
        """See :class:`models.detector.PartDetector`."""
        width, height = size_px
        scaled = self._whole(size_px).scaled_px
        left, part_width = part_px(wanted.left, wanted.width, width, scaled[0], PART_STEPS_PX[0])
        top, part_height = part_px(wanted.top, wanted.height, height, scaled[1], PART_STEPS_PX[1])
        if not self._is_free or part_width * part_height > PART_FRAC * width * height:
            return Tile(0, 0, width, height)
        return Tile(left, top, part_width, part_height)

    def detect_part(self, image: npt.NDArray[np.uint8], part: Tile) -> Detections:
        """See :class:`models.detector.PartDetector`."""
        size_px = (image.shape[1], image.shape[0])
        if (part.width, part.height) == size_px:
            return self.detect([image])[0]
        fit = Letterbox.of_part((part.width, part.height), self._whole(size_px))
        return part.moved(self._run(self._opened(), [part.cut(image)], [fit])[0])

    def _whole(self, size_px: tuple[int, int]) -> Letterbox:
        return Letterbox.fit(size_px, self._input_px, self._manifest.input.placement)

    def _opened(self) -> Runtime:
        if self._runtime is None:
            msg = f"{self.name} is closed"
            raise RuntimeError(msg)
        return self._runtime

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """See :class:`models.detector.Detector`."""
        runtime = self._opened()
        step = self._fixed_batch or min(self._batch, max(1, len(images)))
        out: list[Detections] = []
        for start in range(0, len(images), step):
            out += self._detect_batch(runtime, images[start : start + step])
        return out

    def _detect_batch(self, runtime: Runtime, images: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        spec = self._manifest.input
        sizes = [(image.shape[1], image.shape[0]) for image in images]
        input_px = snug_px(sizes, self._input_px) if self._is_free else self._input_px
        return self._run(runtime, images, [Letterbox.fit(size, input_px, spec.placement) for size in sizes])

    def _run(
        self, runtime: Runtime, images: Sequence[npt.NDArray[np.uint8]], fits: Sequence[Letterbox]
    ) -> list[Detections]:
        """Show the network pictures that all lie in one size of input."""
        spec = self._manifest.input
        width, height = fits[0].input_px
        # only a fixed batch must be filled up, with zeros
        rows = self._fixed_batch or len(images)
        blob = np.zeros((rows, 3, height, width), np.float32)
        for image, fit, target in zip(images, fits, blob, strict=False):
            to_blob(fit.apply(image, spec.pad_value), spec, target)
        outputs = runtime.infer(blob)
        return [self._boxes([output[row] for output in outputs], fit) for row, fit in enumerate(fits)]

    def _boxes(self, outputs: list[FloatArray], fit: Letterbox) -> Detections:
        limits = self._thresholds
        head = HeadShape(fit.input_px, len(self.labels))
        found = decode(outputs, self._manifest.decoder, head, limits.confidence)
        if self._manifest.decoder.nms:
            keep = nms(found.xyxy, found.confidence, found.class_id, limits.nms_iou)
        else:
            keep = np.argsort(-found.confidence, kind="stable")
        keep = keep[: limits.max_detections]
        confidence = np.clip(found.confidence[keep], 0, 1).astype(np.float32)
        boxes = Detections(
            fit.to_source(found.xyxy[keep]), confidence, found.class_id[keep].astype(np.int32), self.labels
        )
        # a box that lies in the padding has no area left in the picture
        width, height = boxes.xyxy[:, 2] - boxes.xyxy[:, 0], boxes.xyxy[:, 3] - boxes.xyxy[:, 1]
        return boxes.select((width > 0) & (height > 0))

    def close(self) -> None:
        """Release the graph; a later :meth:`detect` raises RuntimeError."""
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None
