"""What a training starts from: tensors of a backbone, of an earlier stage, or of a registered model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.registry import find_model
from models.train.tiles import Picture
from towerwatch.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FitPlaces:
    """Where a run finds what it starts from and leaves what it makes."""

    weights: Path
    runs: Path
    models: Path | None = None

    def run(self, name: str) -> Path:
        """Return the folder of the run of one recipe."""
        return self.runs.resolve() / name / "fit"


def is_registered(start: str) -> bool:
    """Tell whether a recipe's ``start`` names a registered model, ``name@version``."""
    return "@" in start


def load_start(model: Any, start: str, places: FitPlaces, pictures: Sequence[Picture]) -> None:
    """Put what ``start`` names into a fresh network.

    ``start`` is a safetensors file under the weights folder, ``name@version`` of a registered model,
    or the name of a recipe whose best checkpoint is taken. ``pictures`` are training pictures of one
    square size, which a registered model's normalisation is measured on.

    Raises:
        ConfigError: it is not there, or not one tensor fits.

    """
    if is_registered(start):
        path = _float_file(start, places)
        found = unfused(model, _onnx_tensors(path))
    elif start.endswith(".safetensors"):
        path = _there(places.weights / start, "file")
        from safetensors.torch import load_file  # noqa: PLC0415 - in the [train] extra alone

        found = load_file(path)
    else:
        path = _there(places.run(start) / "weights" / "best.pt", f"checkpoint; train {start} first")
        from ultralytics.nn.tasks import load_checkpoint  # noqa: PLC0415 - as above

        found = load_checkpoint(str(path))[0].state_dict()
    wanted = model.state_dict()
    fitting = {
        key: value.float()
        for key, value in found.items()
        if key in wanted and value.shape == wanted[key].shape
    }
    if not fitting:
        msg = f"start: {path}: not one tensor fits the architecture"
        raise ConfigError(msg)
    model.load_state_dict(fitting, strict=False)
    if is_registered(start):
        renormalise(model, pictures)


def unfused(model: Any, fused: dict[str, Any]) -> dict[str, Any]:
    """Spread the tensors of an exported network over one with batch normalisation.

    Export folds each normalisation into the convolution before it. The convolution takes the folded
    weights; its normalisation becomes one that only adds the folded bias.
    """
    import torch  # noqa: PLC0415 - in the [train] extra alone, and seconds to import

    out = dict(fused)
    for name, layer in model.named_modules():
        if not name.endswith(".bn") or f"{name[:-3]}.conv.bias" not in fused:
            continue
        bias = out.pop(f"{name[:-3]}.conv.bias")
        out[f"{name}.bias"] = bias
        out[f"{name}.weight"] = torch.ones_like(bias)
        out[f"{name}.running_mean"] = torch.zeros_like(bias)
        out[f"{name}.running_var"] = torch.full_like(bias, 1 - layer.eps)
    return out


def renormalise(model: Any, pictures: Sequence[Picture], batch: int = 16) -> None:
    """Give every batch normalisation that passes its input on unscaled true statistics again.

    The mean and the variance of its input over ``pictures`` become its running ones, and its scale
    and offset are set so that the network computes what it did. Without this, training (which
    normalises by the batch) would change every layer at once.
    """
    import torch  # noqa: PLC0415 - see above

    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    sums: dict[Any, list[Any]] = {}

    def watch(layer: Any, inputs: tuple[Any, ...]) -> None:
        values = inputs[0].double()
        parts = (values.sum((0, 2, 3)), values.square().sum((0, 2, 3)), values[:, 0].numel())
        sums[layer] = [old + new for old, new in zip(sums.get(layer, (0, 0, 0)), parts, strict=True)]

    hooks = [layer.register_forward_pre_hook(watch) for layer in layers]
    model.eval()
    with torch.no_grad():
        for start in range(0, len(pictures), batch):
            rows = [picture[..., ::-1].transpose(2, 0, 1) for picture in pictures[start : start + batch]]
            model(torch.from_numpy(np.stack(rows)).float() / 255)
        for layer, (total, squares, count) in sums.items():
            mean = total / count
            variance = (squares / count - mean.square()).clamp(min=1e-6)
            layer.weight.copy_((variance + layer.eps).sqrt())
            layer.bias.add_(mean)
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)
    for hook in hooks:
        hook.remove()


def _float_file(start: str, places: FitPlaces) -> Path:
    found = find_model(start, places.models)
    for file in found.manifest.files:
        if file.precision == "f32" and file.path.endswith(".onnx"):
            return found.folder / file.path
    msg = f"start: {start} has no float32 ONNX file"
    raise ConfigError(msg)


def _onnx_tensors(path: Path) -> dict[str, Any]:
    import onnx  # noqa: PLC0415 - as above
    import torch  # noqa: PLC0415 - as above

    tensors = onnx.load(str(path)).graph.initializer
    return {item.name: torch.from_numpy(onnx.numpy_helper.to_array(item).copy()) for item in tensors}


def _there(path: Path, what: str) -> Path:
    if not path.exists():
        msg = f"start: {path}: no such {what}"
        raise ConfigError(msg)
    return path
