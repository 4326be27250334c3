"""From a checkpoint to an ONNX file with a manifest: proven equal to PyTorch on real pictures."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.decoders import DecoderSpec
from models.letterbox import STRIDE_PX, Letterbox
from models.manifest import InputSpec, Manifest, ModelFile, Thresholds, sha256_of, write_manifest
from models.network import to_blob
from models.train.tiles import Picture, read_picture
from towerwatch.errors import ConfigError, PermanentError

INPUT, OUTPUT = "images", "output0"
OPSET = 17
PARITY_SCORE = 2e-3  # greatest difference of a score between PyTorch and ONNX Runtime, float32
PARITY_PX = 0.5


class NoParity(PermanentError):
    """The exported file does not compute what the checkpoint computes; it is not kept."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Greatest differences over the pictures tried: of scores, and of box edges in px."""

    pictures: int
    score: float
    edge_px: float


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What the exported version is called and how it is run."""

    name: str
    version: str
    labels: tuple[str, ...]
    side_px: int
    thresholds: Thresholds
    licence: str
    trained_on: tuple[str, ...]
    note: str = ""
    parent: str | None = None
    frozen: int = 0


def recalibrate(model: Any, pictures: Sequence[Picture], frozen: int, batch: int = 16) -> None:
    """Measure the statistics of batch normalisation again, with the final weights.

    In a short training the running averages lag behind the weights: measured on one, the same
    pictures scored 0.02 with statistics of their own and 0.9 with the running ones. Averaged over
    all ``pictures`` (training pictures of one square size) instead; the first ``frozen`` modules were
    trained with the statistics they came with, and keep them. Wu and Johnson, "Rethinking 'Batch' in
    BatchNorm", 2021, section 3.
    """
    import torch  # noqa: PLC0415 - in the [train] extra alone, and seconds to import

    model.train()
    for name, layer in model.named_modules():
        if not isinstance(layer, torch.nn.BatchNorm2d):
            continue
        if int(name.split(".")[1]) < frozen:
            layer.eval()
        else:
            layer.reset_running_stats()
            layer.momentum = None  # a plain average over all that follows
    with torch.no_grad():
        for start in range(0, len(pictures) - batch + 1, batch):
            rows = [
                np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1))
                for picture in pictures[start:][:batch]
            ]
            model(torch.from_numpy(np.stack(rows)).float() / 255)
    model.eval()


def export_onnx(
    checkpoint: Path, target: Path, side_px: int, calibration: Sequence[Picture] = (), frozen: int = 0
) -> Any:
    """Write ``target`` with free batch and sides, traced at ``side_px``; return the PyTorch model.

    ``calibration``: training pictures for :func:`recalibrate`; none leaves the checkpoint's statistics.
    """
    import torch  # noqa: PLC0415 - in the [train] extra alone, and seconds to import
    from ultralytics.nn.modules import Detect  # noqa: PLC0415 - as above
    from ultralytics.nn.tasks import load_checkpoint  # noqa: PLC0415 - as above

    model = load_checkpoint(str(checkpoint))[0].float().eval().to(memory_format=torch.contiguous_format)
    if calibration:
        recalibrate(model, calibration, frozen)
    model = model.fuse(verbose=False)
    for module in model.modules():
        if isinstance(module, Detect):
            module.export, module.format, module.dynamic = True, "onnx", True
    for parameter in model.parameters():
        parameter.requires_grad = False
    sample = torch.zeros(2, 3, side_px, side_px)
    model(sample)
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model,
        (sample,),
        str(target),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: {0: "batch", 2: "height", 3: "width"}, OUTPUT: {0: "batch", 2: "anchors"}},
        opset_version=OPSET,
        dynamo=False,
    )
    return model


def check_parity(model: Any, target: Path, pictures: Sequence[Picture], spec: InputSpec) -> Parity:
    """Run both on real pictures, two at a time, whole and their upper part alone; compare every anchor.

    Raises:
        NoParity: scores or box edges differ by more than rounding.

    """
    import onnxruntime  # noqa: PLC0415 - loaded where it is used, as the models room does
    import torch  # noqa: PLC0415 - see above

    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    score = edge = 0.0
    upper_px = -(-spec.height_px // 2 // STRIDE_PX) * STRIDE_PX
    whole = [to_blobs(pictures[start : start + 2], spec) for start in range(0, len(pictures), 2)]
    for blob in (*whole, *(np.ascontiguousarray(one[:, :, :upper_px]) for one in whole)):
        with torch.no_grad():
            raw = model(torch.from_numpy(blob))
        want = (raw[0] if isinstance(raw, (tuple, list)) else raw).numpy()
        got = session.run([OUTPUT], {INPUT: blob})[0]
        score = max(score, float(np.abs(want[:, 4:] - got[:, 4:]).max()))
        edge = max(edge, float(np.abs(want[:, :4] - got[:, :4]).max()))
    parity = Parity(len(pictures), score, edge)
    if score > PARITY_SCORE or edge > PARITY_PX:
        msg = f"{target}: differs from its checkpoint by {score:.4f} in score and {edge:.2f} px; not kept"
        target.unlink()
        raise NoParity(msg)
    return parity


def to_blobs(pictures: Sequence[Picture], spec: InputSpec) -> npt.NDArray[np.float32]:
    """Prepare pictures as the edge does; float32 (n, 3, height, width)."""
    out = np.empty((len(pictures), 3, spec.height_px, spec.width_px), np.float32)
    for index, picture in enumerate(pictures):
        fit = Letterbox.fit(
            (picture.shape[1], picture.shape[0]), (spec.width_px, spec.height_px), spec.placement
        )
        to_blob(fit.apply(picture, spec.pad_value), spec, out[index])
    return out


def input_spec(side_px: int) -> InputSpec:
    """Describe what Ultralytics' networks take: RGB, 0 to 1, letterboxed in the middle."""
    return InputSpec(name=INPUT, width_px=side_px, height_px=side_px, dynamic_batch=True, dynamic_sides=True)


def prepared_pictures(data: Path, part: str, most: int) -> list[Picture]:
    """Read ``most`` pictures of a run's prepared data, spread over all of it.

    ``part`` is ``train`` or ``val``; where nothing was held out, ``val`` is taken from ``train``.
    """
    folders = [data / "images" / name for name in dict.fromkeys((part, "train"))]
    paths = next((found for folder in folders if (found := sorted(folder.glob("*.jpg")))), [])
    step = max(1, len(paths) // max(1, most))
    return [read_picture(path) for path in paths[::step][:most]]


def export_model(
    checkpoint: Path,
    plan: ExportPlan,
    root: Path,
    pictures: Sequence[Picture],
    calibration: Sequence[Picture] = (),
) -> tuple[Manifest, Parity]:
    """Write ``<root>/<name>/<version>/{model.onnx,manifest.json}``; nothing remains if parity fails.

    Raises:
        ConfigError: that version or no checkpoint is there, or no picture to compare on.
        NoParity: the file does not compute what the checkpoint computes.

    """
    folder = root / plan.name / plan.version
    if folder.exists():
        msg = f"{folder}: exists already; choose another --version, a version never changes"
        raise ConfigError(msg)
    if not checkpoint.is_file():
        msg = f"{checkpoint}: no such checkpoint; towerwatch models train writes it"
        raise ConfigError(msg)
    if not pictures:
        msg = f"{checkpoint}: no prepared picture to compare PyTorch and ONNX on"
        raise ConfigError(msg)
    file = folder / "model.onnx"
    spec = input_spec(plan.side_px)
    try:
        parity = check_parity(
            export_onnx(checkpoint, file, plan.side_px, calibration, plan.frozen), file, pictures, spec
        )
    except NoParity:
        shutil.rmtree(folder)
        raise
    entry = ModelFile(path=file.name, precision="f32", sha256=sha256_of(file), bytes=file.stat().st_size)
    manifest = Manifest(
        name=plan.name,
        version=plan.version,
        labels=plan.labels,
        input=spec,
        decoder=DecoderSpec(kind="yolov8", outputs=(OUTPUT,)),
        thresholds=plan.thresholds,
        files=(entry,),
        licence=plan.licence,
        trained_on=plan.trained_on,
        parent=plan.parent,
        note=plan.note,
    )
    write_manifest(manifest, folder)
    return manifest, parity
