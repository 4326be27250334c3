"""Train with Ultralytics: start, channels-last on CPUs, resume after a kill, a record of the run."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.train.mean import MEAN_FILE, write_mean
from models.train.prepare import Prepared
from models.train.recipe import Recipe
from models.train.start import FitPlaces, load_start
from models.train.tiles import Picture, read_picture
from towerwatch.errors import ConfigError

RUN_RECORD = "run.json"
BN_MOMENTUM = 0.1  # the library's 0.03 lags behind the weights in runs of a few hundred steps
PASSED_ON = (
    *("epochs", "batch", "optimizer", "lr0", "lrf", "cos_lr", "weight_decay"),
    *("warmup_epochs", "warmup_bias_lr"),
    *("mosaic", "close_mosaic", "degrees", "scale", "translate", "fliplr", "hsv_h", "hsv_s", "hsv_v"),
)


def fit(recipe: Recipe, prepared: Prepared, places: FitPlaces, say: Callable[[str], None]) -> Path:
    """Train, or go on training, and return the checkpoint to judge: the best, or its mean with others.

    A run whose ``last.pt`` exists and is not finished continues from it, provided that the data
    digest is the one it was started with.

    Raises:
        ConfigError: the run was started on other data, or what it starts from is not there.

    """
    _fit(recipe, prepared, places, say)
    result = result_of(recipe, places)
    if recipe.fit.mean_with:
        write_mean(result.with_name("best.pt"), recipe.fit.mean_with, places, _some_pictures(prepared))
    return result


def result_of(recipe: Recipe, places: FitPlaces) -> Path:
    """Name the checkpoint that a finished run is judged and exported by."""
    return places.run(recipe.name) / "weights" / (MEAN_FILE if recipe.fit.mean_with else "best.pt")


def _fit(recipe: Recipe, prepared: Prepared, places: FitPlaces, say: Callable[[str], None]) -> None:
    folder = places.run(recipe.name)
    record = folder / RUN_RECORD
    last = folder / "weights" / "last.pt"
    if record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["data_digest"] != prepared.digest:
            then, now = known["data_digest"][:12], prepared.digest[:12]
            msg = f"{folder}: was started on data {then}, not {now}; remove it"
            raise ConfigError(msg)
        if known.get("finished"):
            say(f"{recipe.name}: already finished")
            return
    folder.mkdir(parents=True, exist_ok=True)
    document = {"recipe": recipe.model_dump(), "data_digest": prepared.digest, "seed": recipe.seed}
    record.write_text(json.dumps(document, indent=1), encoding="utf-8")
    resume = last if zipfile.is_zipfile(last) else None  # a kill may have cut it off
    if resume is not None and _is_done(resume, recipe.fit.epochs):
        record.write_text(json.dumps({**document, "finished": True}, indent=1), encoding="utf-8")
        say(f"{recipe.name}: had run all its epochs")
        return
    say(f"{recipe.name}: {'continues' if resume else 'starts'}, data {prepared.digest[:12]}")
    _train(recipe, prepared, places, resume)
    record.write_text(json.dumps({**document, "finished": True}, indent=1), encoding="utf-8")


def _is_done(last: Path, epochs: int) -> bool:
    """Tell whether a checkpoint is of the last epoch; the library numbers a stripped one -1."""
    import torch  # noqa: PLC0415 - in the [train] extra alone, and seconds to import

    epoch = int(torch.load(last, map_location="cpu", weights_only=False)["epoch"])
    return epoch < 0 or epoch + 1 >= epochs


def _train(recipe: Recipe, prepared: Prepared, places: FitPlaces, resume: Path | None) -> None:
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    import torch  # noqa: PLC0415 - in the [train] extra alone, and seconds to import

    torch.set_num_threads(recipe.fit.threads)
    trainer = _trainer_class(recipe, prepared, places)(overrides=_overrides(recipe, prepared, places, resume))
    if recipe.fit.bf16:
        trainer.add_callback("on_train_start", _half_the_bits)
    trainer.train()


def _overrides(recipe: Recipe, prepared: Prepared, places: FitPlaces, resume: Path | None) -> dict[str, Any]:
    plan = recipe.fit
    folder = places.run(recipe.name)
    out: dict[str, Any] = {
        "model": plan.architecture,
        "data": str(prepared.folder / "data.yaml"),
        "project": str(folder.parent),
        "name": folder.name,
        "exist_ok": True,
        "imgsz": plan.image_px,
        "device": "cpu",
        "workers": 1,
        "amp": False,
        "seed": recipe.seed,
        "freeze": plan.freeze or None,
        "patience": plan.epochs,
        "cache": False,
    }
    out |= {key: getattr(plan, key) for key in PASSED_ON}
    if resume is not None:
        out["resume"] = str(resume)
    return out


def _half_the_bits(trainer: Any) -> None:
    """Compute forwards and backwards in bfloat16 on the CPU, the loss in float32.

    The library's own switch is for GPUs. Measured on a Zen 4 core at 352 px: 88 ms a picture
    instead of 201 ms. Box edges decoded in eight bits of mantissa would be too coarse for the loss.
    """
    import torch  # noqa: PLC0415 - see above

    trainer.amp = True
    criterion = trainer.model.init_criterion()

    def in_full(predictions: Any, batch: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            return criterion(_floats(predictions), batch)

    trainer.model.criterion = in_full


def _floats(value: Any) -> Any:
    """Turn every tensor in nested dicts, lists and tuples into float32."""
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_floats(item) for item in value)
    return value.float() if hasattr(value, "float") else value


def _some_pictures(prepared: Prepared, most: int = 128) -> list[Picture]:
    """Read training pictures spread over all sources."""
    paths = sorted((prepared.folder / "images" / "train").iterdir())
    return [read_picture(path) for path in paths[:: -(-len(paths) // most)]]


def _trainer_class(recipe: Recipe, prepared: Prepared, places: FitPlaces) -> type[Any]:
    """Make Ultralytics' trainer start from our weights and run channels-last (16 % faster here)."""
    import torch  # noqa: PLC0415 - see above
    from ultralytics.models.yolo.detect import DetectionTrainer  # noqa: PLC0415 - see above
    from ultralytics.nn.tasks import DetectionModel  # noqa: PLC0415 - see above

    class Trainer(DetectionTrainer):  # type: ignore[misc] # untyped library
        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:  # noqa: FBT001, FBT002 - the library's signature
            model = DetectionModel(cfg, nc=self.data["nc"], ch=self.data["channels"], verbose=verbose)
            if weights is not None:
                model.load(weights)
            elif recipe.fit.start:
                load_start(model, recipe.fit.start, places, _some_pictures(prepared))
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = BN_MOMENTUM
            return model.to(memory_format=torch.channels_last)

    return Trainer
