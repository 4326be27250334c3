"""``towerwatch models`` commands for those who train: from a recipe to a shipped version."""

from __future__ import annotations

import functools
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console

from models.errors import ModelConfigError
from towerwatch.errors import TowerwatchError

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
    weights: Annotated[Path, typer.Option(help="Folder of the weights that a recipe starts from.")],
    runs: Runs = Path("runs"),
    models_dir: ModelsDir = SITE_MODELS,
    *,
    prepare_only: Annotated[bool, typer.Option(help="Lay the data out and stop.")] = False,
) -> None:
    """Train a detector as its recipe says; started again after a kill, it goes on."""
    from models.train.fit import FitPlaces, fit  # noqa: PLC0415 - torch takes seconds
    from models.train.prepare import prepare  # noqa: PLC0415 - as above
    from models.train.recipe import load_recipe  # noqa: PLC0415 - as above

    recipe = load_recipe(recipe_file)
    prepared = prepare(recipe, data, models_dir, runs / recipe.name / "data", say)
    for problem in prepared.problems:
        say(str(problem))
    say(f"data digest {prepared.digest}")
    if not prepare_only:
        say(str(fit(recipe, prepared, FitPlaces(weights, runs), say)))


@app.command()
@extra_needed
def evaluate(  # noqa: PLR0917 - each is an option of the command
    model: Annotated[str, typer.Argument(help="Name, name@version or folder.")],
    data: Annotated[Path, typer.Option(help="YOLO folder, or a recipe: then what it holds out.")],
    out: JsonOut,
    data_root: Annotated[Path | None, typer.Option(help="For a recipe: where its sources lie.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="Other models, judged beside it.")] = None,
    classes: Annotated[str, typer.Option(help="For a folder: its classes, 0=vehicle,1=...")] = "",
    group: Annotated[str, typer.Option(help="For a folder: regular expression of the group.")] = "",
    reader: Annotated[str, typer.Option(help="For a folder: yolo, coco, voc or scenes.")] = "yolo",
    rename: Annotated[str, typer.Option(help="A model's classes, car=vehicle,...")] = "",
    iou: Annotated[float, typer.Option(min=0.01, max=1)] = 0.5,
    tiles: Annotated[int | None, typer.Option(help="Side of native-resolution tiles, in px.")] = None,
    threshold: Annotated[float | None, typer.Option(help="In place of the manifest's.")] = None,
    runtime: Annotated[str, typer.Option(help="auto, onnxruntime or openvino.")] = "auto",
    precision: Annotated[str | None, typer.Option()] = None,
    models_dir: ModelsDir = SITE_MODELS,
    title: Annotated[str, typer.Option(help="Heading in a model card.")] = "",
) -> None:
    """Judge models on labelled pictures, through the edge's own runtime."""
    from models.train.judge import JudgePlan, judge, samples_of  # noqa: PLC0415 - loads OpenCV
    from models.train.readers import READERS  # noqa: PLC0415 - as above

    if reader not in READERS:
        msg = f"--reader {reader!r}: one of {', '.join(READERS)}"
        raise ModelConfigError(msg)
    samples, problems = samples_of(data, data_root, _pairs(classes), group, reader)
    for problem in problems:
        say(str(problem))
    if runtime not in {"auto", "onnxruntime", "openvino"}:
        msg = f"--runtime {runtime!r}: one of auto, onnxruntime, openvino"
        raise ModelConfigError(msg)
    plan = JudgePlan(models_dir, runtime, precision, 1, iou, tiles, threshold, _pairs(rename))  # type: ignore[arg-type] # checked above
    documents = [judge(name, samples, plan)[0] for name in [model, *(against or [])]]
    document = documents[0] | ({"models": documents} if len(documents) > 1 else {})
    _write(out, title or f"{data.name}", document)


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
def places(  # noqa: PLR0917 - each is an option of the command
    model: Annotated[str, typer.Argument(help="Name, name@version or folder.")],
    video: Annotated[Path, typer.Option(help="Video of a fixed camera.")],
    truth: Annotated[Path, typer.Option(help="JSON that names what stands in it: parked, id, box_px.")],
    out: JsonOut,
    every_s: Annotated[float, typer.Option(min=0.01)] = 1.0,
    iou: Annotated[float, typer.Option(min=0.01, max=1)] = 0.4,
    rename: Annotated[str, typer.Option(help="A model's classes, car=vehicle,...")] = "",
    models_dir: ModelsDir = SITE_MODELS,
    title: Annotated[str, typer.Option(help="Heading in a model card.")] = "",
) -> None:
    """Count how often a detector sees each of the things that stay in a fixed camera's view."""
    from models.load import load_detector  # noqa: PLC0415 - loads a runtime
    from models.train.judge import Relabelled  # noqa: PLC0415 - loads OpenCV
    from models.train.places import judge_places  # noqa: PLC0415 - as above

    detector = load_detector(model, models_dir=models_dir)
    names = _pairs(rename)
    labels = tuple(sorted(set(names.values()))) or detector.labels
    tally = judge_places(Relabelled(detector, names, labels), video, truth, every_s, iou)
    _write(out, title or video.name, {"model": detector.name, **tally.report()})
    detector.close()


@app.command()
@extra_needed
def export(  # noqa: PLR0917 - each is an option of the command
    recipe_file: RecipeFile,
    version: Annotated[str, typer.Option(help="Version to give it.")],
    into: Annotated[Path, typer.Option(help="Root of <name>/<version>/.")],
    runs: Runs = Path("runs"),
    confidence: Annotated[float, typer.Option(min=0, max=1, help="Threshold to ship.")] = 0.25,
    nms_iou: Annotated[float, typer.Option(min=0, max=1)] = 0.5,
    side: Annotated[int, typer.Option(help="Side of the input in px.")] = 640,
    name: Annotated[str | None, typer.Option(help="Name to ship it by; the recipe's by default.")] = None,
    parent: Annotated[str | None, typer.Option(help="name@version it came from.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="In place of the run's best one.")] = None,
    parity_pictures: Annotated[int, typer.Option(min=1)] = 16,
    recalibrate: Annotated[int, typer.Option(min=0, help="Pictures to normalise on again.")] = 0,
) -> None:
    """Export a trained recipe to ONNX with its manifest; refused unless it equals PyTorch."""
    from models.manifest import Thresholds  # noqa: PLC0415 - loads pydantic models
    from models.train.card import trained_on  # noqa: PLC0415 - as above
    from models.train.export import ExportPlan, export_model  # noqa: PLC0415 - as above
    from models.train.recipe import load_recipe  # noqa: PLC0415 - as above
    from models.train.tiles import read_picture  # noqa: PLC0415 - loads OpenCV

    recipe = load_recipe(recipe_file)
    folder = runs / recipe.name
    record = json.loads((folder / "data" / "record.json").read_text(encoding="utf-8"))
    pictures = sorted((folder / "data" / "images" / "val").iterdir())[:: max(1, 90 // parity_pictures)]
    plan = ExportPlan(
        name=name or recipe.name,
        version=version,
        labels=recipe.labels,
        side_px=side,
        thresholds=Thresholds(confidence=confidence, nms_iou=nms_iou),
        licence=recipe.card.licence,
        trained_on=(*_earlier(recipe_file, runs), *trained_on(recipe, record["counts"])),
        note=f"data digest {record['digest']}, recipe {recipe_file.name}, seed {recipe.seed}",
        parent=parent,
        frozen=recipe.fit.freeze,
    )
    best = checkpoint or folder / "fit" / "weights" / "best.pt"
    read = [read_picture(path) for path in pictures[:parity_pictures]]
    training = sorted((folder / "data" / "images" / "train").iterdir())
    step = max(1, len(training) // max(1, recalibrate))
    calibration = [read_picture(path) for path in training[::step][:recalibrate]]
    manifest, parity = export_model(best, plan, into, read, calibration)
    say(f"{manifest.reference}: {parity.pictures} pictures, largest difference {parity.score:.1e} in score")


@app.command()
@extra_needed
def quantise(
    model: Annotated[Path, typer.Option(help="Folder of the model version.")],
    pictures: Annotated[Path, typer.Option(help="Folder of real pictures to calibrate on.")],
    runtime: Annotated[
        list[str] | None, typer.Option(help="Of onnxruntime, openvino; both by default.")
    ] = None,
    most: Annotated[int, typer.Option(min=1)] = 96,
) -> None:
    """Add INT8 files for ONNX Runtime and OpenVINO; a precision may be used once its gate is passed."""
    from models.train.quantise import FILES, add_int8  # noqa: PLC0415 - loads OpenCV
    from models.train.tiles import read_picture  # noqa: PLC0415 - as above

    paths = sorted(pictures.iterdir())
    chosen = paths[:: max(1, len(paths) // most)][:most]
    wanted = [name for name in FILES if not runtime or name in runtime]
    manifest = add_int8(model, [read_picture(path) for path in chosen], wanted)
    for file in manifest.files:
        say(f"{file.path}: {file.precision} for {', '.join(file.runtimes)}, {file.bytes} bytes")


@app.command()
@extra_needed
def gate(
    model: Annotated[Path, typer.Option(help="Folder of the model version.")],
    data: Annotated[Path, typer.Option(help="Folder to judge on.")],
    classes: Annotated[str, typer.Option(help="Its classes, 0=vehicle,1=...")] = "",
    reader: Annotated[str, typer.Option(help="yolo, coco, voc or scenes.")] = "yolo",
    iou: Annotated[float, typer.Option(min=0.01, max=1)] = 0.5,
) -> None:
    """Measure every precision in its runtimes; those that lose little against f32 may be used."""
    from models.train.gate import enter, measure  # noqa: PLC0415 - loads OpenCV
    from models.train.judge import JudgePlan, samples_of  # noqa: PLC0415 - as above

    samples, _problems = samples_of(data, None, _pairs(classes), "", reader)
    measured = measure(model, samples, JudgePlan(iou=iou))
    for (precision, runtime), row in measured.items():
        say(f"{precision} {runtime}: mAP50 {row['map50']}, {row['median_ms']} ms a picture, one thread")
    say(f"passed: {', '.join(enter(model, measured).passed)}")


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


def _stages(recipe_file: Path) -> list[Path]:
    """Name the recipes that a recipe starts from, the first stage first."""
    from models.train.recipe import load_recipe  # noqa: PLC0415 - loads pydantic models

    stages: list[Path] = []
    start = load_recipe(recipe_file).fit.start
    while start and not start.endswith(".safetensors"):
        stages.insert(0, recipe_file.with_name(f"{start}.yaml"))
        start = load_recipe(stages[0]).fit.start
    return stages


def _earlier(recipe_file: Path, runs: Path) -> list[str]:
    """Say what the earlier stages of a recipe learnt from."""
    from models.train.card import trained_on  # noqa: PLC0415 - loads pydantic models
    from models.train.recipe import load_recipe  # noqa: PLC0415 - as above

    lines = []
    for path in _stages(recipe_file):
        recipe = load_recipe(path)
        record = json.loads((runs / recipe.name / "data" / "record.json").read_text(encoding="utf-8"))
        lines += [f"stage {recipe.name}: {line}" for line in trained_on(recipe, record["counts"])]
    return lines


def _pairs(text: str) -> dict[str, str]:
    out = {}
    for part in filter(None, text.split(",")):
        left, equals, right = part.partition("=")
        if not equals or not left or not right:
            msg = f"{part!r}: write name=name, separated by commas"
            raise ModelConfigError(msg)
        out[left.strip()] = right.strip()
    return out


def _write(path: Path, title: str, document: dict[str, Any]) -> None:
    """Write a report with its heading and the command that makes it again."""
    arguments = [part for part in sys.argv[1:] if part != "models"]
    command = shlex.join(["towerwatch", "models", *arguments])
    content = {**document, "title": title, "command": command, "document": document}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    say(
        json.dumps(
            {
                key: document.get(key)
                for key in ("map50", "recall", "precision", "seen_frac")
                if key in document
            }
        )
    )


if __name__ == "__main__":
    app()
