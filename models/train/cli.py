"""``towerwatch models`` commands for those who train: from a recipe to a shipped version."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console

from towerwatch.errors import ConfigError, TowerwatchError

app = typer.Typer(no_args_is_help=True)
SITE_MODELS = Path("site-models")
Arguments = ParamSpec("Arguments")

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE.yaml")]
DataDir = Annotated[Path, typer.Option(help="Folder that the recipe's source paths are relative to.")]
Runs = Annotated[Path, typer.Option(help="Where data, checkpoints and plots go.")]
ModelsDir = Annotated[Path, typer.Option(help="The site's own models; teachers are looked for here too.")]
JsonOut = Annotated[Path, typer.Option("--json", help="Where the report goes.")]


def extra_needed(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Turn a missing package into one line that names the extra it comes with."""

    @functools.wraps(command)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ModuleNotFoundError as error:
            msg = f"this command needs the package {error.name}: pip install 'towerwatch[train]'"
            raise TowerwatchError(msg) from error

    return run


def say(text: str) -> None:
    """Print progress on standard error."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
@extra_needed
def train(
    recipe_file: RecipeFile,
    data: DataDir,
    weights: Annotated[
        Path, typer.Option(help="Folder of the safetensors file that a recipe starts from.")
    ] = Path("weights"),
    runs: Runs = Path("runs"),
    models_dir: ModelsDir = SITE_MODELS,
    *,
    prepare_only: Annotated[bool, typer.Option(help="Lay the data out and stop.")] = False,
) -> None:
    """Train a detector as its recipe says; started again after a kill, it goes on."""
    from models.train.fit import fit  # noqa: PLC0415 - torch takes seconds
    from models.train.prepare import prepare  # noqa: PLC0415 - as above
    from models.train.recipe import load_recipe  # noqa: PLC0415 - as above
    from models.train.start import FitPlaces  # noqa: PLC0415 - as above

    recipe = load_recipe(recipe_file)
    prepared = prepare(recipe, data, models_dir, runs / recipe.name / "data", say)
    for problem in prepared.problems:
        say(str(problem))
    say(f"data digest {prepared.digest}")
    if not prepare_only:
        say(str(fit(recipe, prepared, FitPlaces(weights, runs, models_dir), say)))


@app.command()
@extra_needed
def inspect(
    recipe_file: RecipeFile,
    data: DataDir,
    into: Annotated[Path, typer.Option(help="Folder for statistics, problems and contact sheets.")],
    most: Annotated[int, typer.Option(min=1, help="Pictures on a sheet.")] = 48,
) -> None:
    """Show what a recipe's sources hold: numbers, problems line by line, contact sheets as PNG."""
    import cv2  # noqa: PLC0415 - loaded when it is needed

    from models.train.prepare import read_source  # noqa: PLC0415 - loads OpenCV
    from models.train.recipe import load_recipe  # noqa: PLC0415 - loads pydantic models
    from models.train.sheets import contact_sheet, statistics  # noqa: PLC0415 - loads OpenCV

    recipe = load_recipe(recipe_file)
    into.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, Any] = {}
    lines: list[str] = []
    for source in recipe.sources:
        split, problems = read_source(source, data, recipe.seed)
        lines += [str(problem) for problem in problems]
        for part, samples in (("train", split.train), ("held_out", split.held_out)):
            numbers[f"{source.id}/{part}"] = statistics(samples)
            if samples:
                step = max(1, len(samples) // most)
                cv2.imwrite(str(into / f"{source.id}-{part}.png"), contact_sheet(samples[::step][:most]))
    (into / "statistics.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    (into / "problems.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for line in lines:
        say(line)


@app.command()
@extra_needed
def export(  # noqa: PLR0917 - each is an option of the command
    recipe_file: RecipeFile,
    version: Annotated[str, typer.Option(help="Version to give it.")],
    into: Annotated[Path, typer.Option(help="Root of <name>/<version>/.")] = SITE_MODELS,
    runs: Runs = Path("runs"),
    confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Threshold to ship; the parent's, else 0.25.")
    ] = None,
    nms_iou: Annotated[float | None, typer.Option(min=0, max=1, help="The parent's, else 0.5.")] = None,
    side: Annotated[
        int | None, typer.Option(min=32, help="Side of the input in px; the parent's, else 640.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name to ship it by; the parent's, else the recipe's.")
    ] = None,
    parent: Annotated[
        str | None, typer.Option(help="name@version it came from; what the recipe starts from.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="In place of the run's own.")] = None,
    parity_pictures: Annotated[int, typer.Option(min=1)] = 16,
    recalibrate: Annotated[int, typer.Option(min=0, help="Pictures to normalise on again.")] = 0,
    models_dir: ModelsDir = SITE_MODELS,
) -> None:
    """Export a trained recipe to ONNX with its manifest; refused unless it equals PyTorch."""
    from models.manifest import Thresholds  # noqa: PLC0415 - loads pydantic models
    from models.registry import find_model  # noqa: PLC0415 - as above
    from models.train.card import trained_on  # noqa: PLC0415 - as above
    from models.train.export import ExportPlan, export_model, prepared_pictures  # noqa: PLC0415 - as above
    from models.train.fit import result_of  # noqa: PLC0415 - as above
    from models.train.recipe import load_recipe  # noqa: PLC0415 - as above
    from models.train.start import FitPlaces, is_registered  # noqa: PLC0415 - as above

    recipe = load_recipe(recipe_file)
    if parent is None and is_registered(recipe.fit.start):
        parent = recipe.fit.start
    usual = None if parent is None else find_model(parent, models_dir).manifest
    limits = Thresholds(confidence=0.25, nms_iou=0.5) if usual is None else usual.thresholds
    given = {"confidence": confidence, "nms_iou": nms_iou}
    folder = runs / recipe.name
    record = _record(folder)
    plan = ExportPlan(
        name=name or (recipe.name if usual is None else usual.name),
        version=version,
        labels=recipe.labels,
        side_px=side or (640 if usual is None else usual.input.width_px),
        thresholds=limits.model_copy(update={key: at for key, at in given.items() if at is not None}),
        licence=recipe.card.licence,
        trained_on=(*_earlier(recipe_file, runs, models_dir), *trained_on(recipe, record["counts"])),
        note=f"data digest {record['digest']}, recipe {recipe_file.name}, seed {recipe.seed}",
        parent=parent,
        frozen=recipe.fit.freeze,
    )
    best = checkpoint or result_of(recipe, FitPlaces(Path(), runs, models_dir))
    pictures = prepared_pictures(folder / "data", "val", parity_pictures)
    calibration = prepared_pictures(folder / "data", "train", recalibrate)
    manifest, parity = export_model(best, plan, into, pictures, calibration)
    say(f"{manifest.reference}: {parity.pictures} pictures, largest difference {parity.score:.1e} in score")


@app.command()
@extra_needed
def card(
    recipe_file: RecipeFile,
    model: Annotated[Path, typer.Option(help="Folder of the model version.")],
    figure: Annotated[list[Path] | None, typer.Option(help="Reports of evaluate and places.")] = None,
    path_name: Annotated[
        list[str] | None, typer.Option(help="/some/folder=DATA: name a path in commands.")
    ] = None,
) -> None:
    """Write the model card from the manifest, the recipe's words and measured reports."""
    from models.manifest import read_manifest  # noqa: PLC0415 - loads pydantic models
    from models.train.card import CARD_FILE, card_text, read_figure  # noqa: PLC0415 - as above
    from models.train.recipe import load_recipe  # noqa: PLC0415 - as above

    recipe = load_recipe(recipe_file)
    command = "towerwatch models train configs/recipes/{} --data DATA --weights WEIGHTS"
    training = [command.format(path.name) for path in [*_stages(recipe_file), recipe_file]]
    manifest = read_manifest(model / "manifest.json")
    names = dict(item.rpartition("=")[::2] for item in path_name or [])
    text = card_text(manifest, recipe, [read_figure(path, names) for path in figure or []], training)
    (model / CARD_FILE).write_text(text, encoding="utf-8")


def _record(run: Path) -> dict[str, Any]:
    """Read what ``train`` noted about the data of a run."""
    path = run / "data" / "record.json"
    if not path.exists():
        msg = f"{path}: no such file; towerwatch models train writes it"
        raise ConfigError(msg)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _stages(recipe_file: Path) -> list[Path]:
    """Name the recipes that a recipe starts from, the first stage first."""
    from models.train.recipe import load_recipe  # noqa: PLC0415 - loads pydantic models
    from models.train.start import is_registered  # noqa: PLC0415 - loads OpenCV

    stages: list[Path] = []
    start = load_recipe(recipe_file).fit.start
    while start and not start.endswith(".safetensors") and not is_registered(start):
        stages.insert(0, recipe_file.with_name(f"{start}.yaml"))
        start = load_recipe(stages[0]).fit.start
    return stages


def _earlier(recipe_file: Path, runs: Path, models_dir: Path) -> list[str]:
    """Say what the earlier stages of a recipe, and the registered model it started from, learnt from."""
    from models.registry import find_model  # noqa: PLC0415 - loads pydantic models
    from models.train.card import trained_on  # noqa: PLC0415 - as above
    from models.train.recipe import load_recipe  # noqa: PLC0415 - as above
    from models.train.start import is_registered  # noqa: PLC0415 - loads OpenCV

    stages = _stages(recipe_file)
    root = load_recipe([*stages, recipe_file][0]).fit.start
    before = find_model(root, models_dir).manifest.trained_on if is_registered(root) else ()
    lines = [f"{root}: {line}" for line in before]
    for path in stages:
        recipe = load_recipe(path)
        record = _record(runs / recipe.name)
        lines += [f"stage {recipe.name}: {line}" for line in trained_on(recipe, record["counts"])]
    return lines
