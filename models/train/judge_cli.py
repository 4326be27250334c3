"""``towerwatch models`` commands that judge: figures, plots, INT8 and its gate."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from models.errors import ModelConfigError
from models.train.cli import SITE_MODELS, JsonOut, ModelsDir, extra_needed, say

app = typer.Typer(no_args_is_help=True)

Reader = Annotated[str, typer.Option(help="For a folder: yolo, coco, voc, scenes or verdicts.")]
Classes = Annotated[str, typer.Option(help="For a folder: its classes, 0=vehicle,1=...")]
Rename = Annotated[str, typer.Option(help="A model's classes, car=vehicle,...")]
Title = Annotated[str, typer.Option(help="Heading in a model card.")]
Version = Annotated[Path, typer.Option(help="Folder of the model version.")]


@app.command()
@extra_needed
def evaluate(  # noqa: PLR0917 - each is an option of the command
    model: Annotated[str, typer.Argument(help="Name, name@version or folder.")],
    data: Annotated[Path, typer.Option(help="Labelled folder, or a recipe: then what it holds out.")],
    out: JsonOut,
    data_root: Annotated[Path | None, typer.Option(help="For a recipe: where its sources lie.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="Other models, judged beside it.")] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for curves and for pictures of the worst mistakes.")
    ] = None,
    classes: Classes = "",
    group: Annotated[str, typer.Option(help="For a folder: regular expression of the group.")] = "",
    reader: Reader = "yolo",
    rename: Rename = "",
    iou: Annotated[float, typer.Option(min=0.01, max=1)] = 0.5,
    tiles: Annotated[int | None, typer.Option(help="Side of native-resolution tiles, in px.")] = None,
    threshold: Annotated[float | None, typer.Option(help="In place of the manifest's.")] = None,
    runtime: Annotated[str, typer.Option(help="auto, onnxruntime or openvino.")] = "auto",
    precision: Annotated[str | None, typer.Option()] = None,
    models_dir: ModelsDir = SITE_MODELS,
    title: Title = "",
) -> None:
    """Judge models on labelled pictures, through the edge's own runtime."""
    from models.load import RuntimeChoice  # noqa: PLC0415 - loads a runtime
    from models.train.judge import JudgePlan, judge  # noqa: PLC0415 - as above

    if runtime not in get_args(RuntimeChoice):
        msg = f"--runtime {runtime!r}: one of {', '.join(get_args(RuntimeChoice))}"
        raise ModelConfigError(msg)
    samples = _samples(data, data_root, classes, group, reader)
    plan = JudgePlan(models_dir, runtime, precision, 1, iou, tiles, threshold, _pairs(rename))  # type: ignore[arg-type] # checked above
    documents = []
    for name in [model, *(against or [])]:
        document, judged = judge(name, samples, plan)
        documents.append(document)
        if plots is not None:
            from models.train.plots import draw_all  # noqa: PLC0415 - loads matplotlib

            for path in draw_all(judged, document, plots, name.replace("/", "-").strip("-")):
                say(str(path))
    document = documents[0] | ({"models": documents} if len(documents) > 1 else {})
    _write(out, title or f"{data.name}", document)


@app.command()
@extra_needed
def places(  # noqa: PLR0917 - each is an option of the command
    model: Annotated[str, typer.Argument(help="Name, name@version or folder.")],
    video: Annotated[Path, typer.Option(help="Video of a fixed camera.")],
    truth: Annotated[Path, typer.Option(help="JSON that names what stands in it: parked, id, box_px.")],
    out: JsonOut,
    every_s: Annotated[float, typer.Option(min=0.01)] = 1.0,
    iou: Annotated[float, typer.Option(min=0.01, max=1)] = 0.4,
    rename: Rename = "",
    precision: Annotated[str | None, typer.Option()] = None,
    models_dir: ModelsDir = SITE_MODELS,
    title: Title = "",
) -> None:
    """Count how often a detector sees each of the things that stay in a fixed camera's view."""
    from models.load import load_detector  # noqa: PLC0415 - loads a runtime
    from models.train.judge import Relabelled  # noqa: PLC0415 - loads OpenCV
    from models.train.places import judge_places  # noqa: PLC0415 - as above

    detector = load_detector(model, models_dir=models_dir, precision=precision)
    names = _pairs(rename)
    labels = tuple(sorted(set(names.values()))) or detector.labels
    tally = judge_places(Relabelled(detector, names, labels), video, truth, every_s, iou)
    document = {"model": detector.name, "numeric": detector.precision, **tally.report()}
    _write(out, title or video.name, document)
    detector.close()


@app.command()
@extra_needed
def quantise(
    model: Version,
    pictures: Annotated[Path, typer.Option(help="Folder of real pictures to calibrate on.")],
    runtime: Annotated[
        list[str] | None, typer.Option(help="Of onnxruntime, openvino; both by default.")
    ] = None,
    most: Annotated[int, typer.Option(min=1)] = 96,
) -> None:
    """Add INT8 files for ONNX Runtime and OpenVINO; a precision may be used once its gate is passed."""
    from models.predict import pictures_in  # noqa: PLC0415 - loads OpenCV
    from models.train.quantise import FILES, add_int8  # noqa: PLC0415 - as above
    from models.train.tiles import read_picture  # noqa: PLC0415 - as above

    for name in runtime or []:
        if name not in FILES:
            msg = f"--runtime {name!r}: one of {', '.join(FILES)}"
            raise ModelConfigError(msg)
    paths = pictures_in(pictures)
    chosen = paths[:: max(1, len(paths) // most)][:most]
    wanted = [name for name in FILES if not runtime or name in runtime]
    manifest = add_int8(model, [read_picture(path) for path in chosen], wanted)
    for file in manifest.files:
        say(f"{file.path}: {file.precision} for {', '.join(file.runtimes)}, {file.bytes} bytes")


@app.command()
@extra_needed
def gate(  # noqa: PLR0917 - each is an option of the command
    model: Version,
    data: Annotated[Path, typer.Option(help="Labelled folder, or a recipe: then what it holds out.")],
    data_root: Annotated[Path | None, typer.Option(help="For a recipe: where its sources lie.")] = None,
    classes: Classes = "",
    reader: Reader = "yolo",
    iou: Annotated[float, typer.Option(min=0.01, max=1)] = 0.5,
    tiles: Annotated[int | None, typer.Option(help="Side of native-resolution tiles, in px.")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Where the table goes, for the card.")] = None,
    title: Title = "",
) -> None:
    """Measure every precision in its runtimes; those that lose little against f32 may be used.

    The fastest of them that every CPU can run becomes the version's default.
    """
    from models.train.gate import enter, measure, table  # noqa: PLC0415 - loads OpenCV
    from models.train.judge import JudgePlan  # noqa: PLC0415 - as above

    measured = measure(
        model, _samples(data, data_root, classes, "", reader), JudgePlan(iou=iou, tile_px=tiles)
    )
    rows = table(measured)
    for row in rows:
        ms = f"{row['cpu_ms']} ms of CPU a picture, {row['times_as_fast']} times as fast as f32"
        say(f"{row['numeric']} {row['runtime']}: mAP50 {row['map50']}, {ms}")
    manifest = enter(model, measured)
    say(f"passed: {', '.join(manifest.passed)}")
    say(f"default: {manifest.default_precision} in {manifest.default_runtime}")
    if out is not None:
        _write(out, title or f"precisions on {data.name}", {"model": manifest.reference, "ways": rows})


def _samples(data: Path, root: Path | None, classes: str, group: str, reader: str) -> list[Any]:
    """Read what is to be judged on; every broken picture and label is named."""
    from models.train.judge import samples_of  # noqa: PLC0415 - loads OpenCV
    from models.train.readers import READERS  # noqa: PLC0415 - as above

    if reader not in READERS:
        msg = f"--reader {reader!r}: one of {', '.join(READERS)}"
        raise ModelConfigError(msg)
    samples, problems = samples_of(data, root, _pairs(classes), group, reader)
    for problem in problems:
        say(str(problem))
    return samples


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
    shown = ("map50", "recall", "precision", "empty_frames_with_box_frac", "seen_frac")
    for item in document.get("models", [document]):
        say(f"{item['model']}: " + ", ".join(f"{key} {item[key]}" for key in shown if key in item))
