"""``towerwatch models``: import, list, verify and try detectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.decoders import DecoderKind
from models.errors import ModelConfigError, ModelFileError
from models.manifest import Precision, StoredPrecision
from models.train.cli import app as training_app
from models.train.judge_cli import app as judging_app

app = typer.Typer(no_args_is_help=True, help="Import, list, verify and try detectors; train and judge them.")
# they name the extra they need
app.registered_commands += [*training_app.registered_commands, *judging_app.registered_commands]

ModelsDir = Annotated[Path, typer.Option("--models-dir", help="The site's own models.")]
# not ./models: in a checkout that is the room with this code
SITE_MODELS = Path("site-models")
EXIT_FAILED = 1


def _console() -> Console:
    return Console(highlight=False)


@app.command("import")
def import_command(  # noqa: PLR0917 - each is an option of the command
    file: Annotated[Path, typer.Argument(help="ONNX file of a YOLO-family detector.")],
    name: Annotated[str, typer.Option(help="Name to give it.")],
    version: Annotated[str, typer.Option(help="Version to give it.")] = "1.0.0",
    labels: Annotated[
        str | None,
        typer.Option(
            help="coco80, a,b,c, or a file with one name a line; may be absent if the file names them."
        ),
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest confidence of a box.")
    ] = None,
    models_dir: ModelsDir = SITE_MODELS,
    probe: Annotated[Path | None, typer.Option(help="Picture to prove it on; best one with objects.")] = None,
    decoder: Annotated[DecoderKind | None, typer.Option(help="Refuse any other reading.")] = None,
    input_scale: Annotated[float | None, typer.Option(min=1e-6, help="Factor on pixels 0-255.")] = None,
    colour: Annotated[Literal["rgb", "bgr"] | None, typer.Option(help="Order of the input's planes.")] = None,
    size: Annotated[str | None, typer.Option(help="WxH, for a graph that takes any size.")] = None,
    precision: Annotated[
        StoredPrecision | None, typer.Option(help="Of the file, where it cannot be told.")
    ] = None,
) -> None:
    """Work out how a foreign ONNX file is to be run, prove it on a picture, and register it."""
    from models.importer import ImportOptions, import_model, parse_labels  # noqa: PLC0415 - loads a runtime

    options = ImportOptions(
        labels=None if labels is None else parse_labels(labels),
        size_px=None if size is None else _size(size),
        decoder=decoder,
        scale=input_scale,
        colour=colour,
        confidence=confidence,
        precision=precision,
        probe=None if probe is None else _picture(probe),
    )
    try:
        finding = import_model(file, name, version, options, models_dir)
    except ModelFileError as error:  # here the file is what the caller gave, not what the site has
        raise ModelConfigError(str(error)) from None
    table = Table("what", "found", title=escape(f"{file.name} -> {finding.manifest.reference}"))
    table.add_row("decoder", finding.manifest.decoder.kind)
    table.add_row("precision", finding.manifest.default_precision)
    for line in finding.evidence:
        table.add_row("", escape(line))
    table.add_row("manifest", escape(str(models_dir / name / version / "manifest.json")))
    _console().print(table)


@app.command("list")
def list_command(
    models_dir: ModelsDir = SITE_MODELS,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a model.")] = False,
) -> None:
    """List shipped models and the site's own, newest version first; * marks what a bare name means."""
    from models.registry import shelves  # noqa: PLC0415 - keeps --help quick

    every = shelves(models_dir)
    rows = [row for shelf in every for row in _rows(shelf, models_dir)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _print_models(rows)
    if _say_broken(every):
        raise typer.Exit(EXIT_FAILED)


def _rows(shelf: Any, models_dir: Path) -> list[dict[str, Any]]:
    from models.registry import find_model  # noqa: PLC0415 - as above

    try:
        active = find_model(shelf.name, models_dir).folder
    except ModelConfigError as error:  # the active one is broken or gone, or only candidates are here
        active = None
        typer.echo(str(error), err=True)
    return [
        {
            "name": found.manifest.name,
            "version": found.manifest.version,
            "active": found.folder == active,
            "origin": found.origin,
            "parent": found.manifest.parent,
            "decoder": found.manifest.decoder.kind,
            "input_px": [found.manifest.input.width_px, found.manifest.input.height_px],
            "labels": list(found.manifest.labels),
            "passed": list(found.manifest.passed),
            "default_precision": found.manifest.default_precision,
            "licence": found.manifest.licence,
            "folder": str(found.folder),
        }
        for found in shelf.found
    ]


def _print_models(rows: list[dict[str, Any]]) -> None:
    table = Table("model", "", "origin", "parent", "decoder", "input", "labels", "precisions")
    for row in rows:
        names = ", ".join(row["labels"][:2]) + (", ..." if len(row["labels"]) > 2 else "")
        table.add_row(
            f"{row['name']}@{row['version']}",
            "*" if row["active"] else "",
            row["origin"],
            row["parent"] or "",
            row["decoder"],
            "x".join(map(str, row["input_px"])),
            escape(f"{len(row['labels'])}: {names}"),
            ", ".join(row["passed"]),
        )
    _console().print(table)


@app.command("verify")
def verify_command(
    name: Annotated[str | None, typer.Argument(help="name or name@version; all if absent.")] = None,
    models_dir: ModelsDir = SITE_MODELS,
) -> None:
    """Check every model file against the digest in its manifest; exit code 1 if one differs."""
    from models.registry import Shelf, find_model, shelf_of, shelves, verify  # noqa: PLC0415

    if name is None:
        every = shelves(models_dir)
    elif "@" in name or "/" in name or not (shelf := shelf_of(name, models_dir)).found + shelf.broken:
        every = [Shelf("", (find_model(name, models_dir),))]
    else:
        every = [shelf]
    failed = _say_broken(every)
    chosen = [found for shelf in every for found in shelf.found]
    for found in chosen:
        wrong = verify(found)
        failed = failed or bool(wrong)
        typer.echo(f"{found.manifest.reference}: {'ok' if not wrong else 'WRONG'} ({found.folder})")
        for line in wrong:
            typer.echo(f"  {line}")
    if not chosen and not failed:
        typer.echo("no models")
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _say_broken(every: Sequence[Any]) -> bool:
    """Name each manifest that cannot be used; tell whether there is one."""
    broken = [item for shelf in every for item in shelf.broken]
    for item in broken:
        typer.echo(str(item.error), err=True)
    return bool(broken)


@app.command("promote")
def promote_command(
    model: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The candidate.")],
    report: Annotated[
        list[Path] | None,
        typer.Option(help="Of models evaluate CANDIDATE --against PARENT; may be repeated."),
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(help="Figure that may not be worse, or only by so much: map50:0.01; may be repeated."),
    ] = None,
    models_dir: ModelsDir = SITE_MODELS,
    *,
    force: Annotated[bool, typer.Option("--force", help="Promote it all the same; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "",
) -> None:
    """Make a version the one its bare name means; exit code 1 if a gate says that it is worse."""
    from models.promotion import GATES, judge_gates, parent_of, parse_gate, promote  # noqa: PLC0415
    from models.registry import find_model  # noqa: PLC0415

    if "@" not in model:
        msg = f"{model!r}: name the version, as in {model}@0.2.0"
        raise ModelConfigError(msg)
    if force and not reason.strip():
        msg = "--force needs --reason: why a worse or unjudged version is to run"
        raise ModelConfigError(msg)
    candidate = find_model(model, models_dir)
    gates = [parse_gate(text) for text in gate or GATES]
    parent = parent_of(candidate, models_dir)
    if parent is not None and not report and not force:
        msg = (
            f"--report is missing; make one: towerwatch models evaluate {model} "
            f"--against {parent.manifest.reference} --data DATA --json REPORT"
        )
        raise ModelConfigError(msg)
    outcomes = () if parent is None else judge_gates(candidate, parent, report or [], gates)
    for outcome in outcomes:
        typer.echo(str(outcome))
    change = promote(candidate, models_dir, outcomes, forced=force, reason=reason)
    typer.echo(f"{model} is active in {models_dir}, before it {change.before or 'nothing'}")


@app.command("rollback")
def rollback_command(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    models_dir: ModelsDir = SITE_MODELS,
    *,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "",
) -> None:
    """Make the version active again that the last promotion replaced."""
    from models.promotion import rollback  # noqa: PLC0415 - keeps --help quick

    change = rollback(name, models_dir, reason)
    typer.echo(f"{name}@{change.version} is active in {models_dir}, before it {change.before}")


@app.command("tune")
def tune_command(  # noqa: PLR0917 - each is an option of the command
    model: Annotated[str, typer.Argument(help="name, name@version, or the path of a manifest.")],
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Data folder of the box, where it is kept.")],
    runtime: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option()] = "auto",
    precision: Annotated[Precision | None, typer.Option()] = None,
    provider: Annotated[Literal["auto", "cpu", "cuda", "tensorrt"], typer.Option()] = "auto",
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    seconds: Annotated[float, typer.Option(min=1, help="About how long to measure.")] = 10.0,
    models_dir: ModelsDir = SITE_MODELS,
) -> None:
    """Measure runtimes, passed precisions, threads and batches here, and keep the cheapest for the box.

    A box does this by itself at its first start; what is given here is not measured, but taken.
    """
    from models.registry import find_model  # noqa: PLC0415 - keeps --help quick
    from models.tune import Wish, tune  # noqa: PLC0415 - loads runtimes

    wish = Wish(runtime, provider, precision, threads)
    entry = tune(data_dir, find_model(model, models_dir), wish, seconds)
    table = Table("runtime", "precision", "threads", "batch", "CPU ms", "ms", "", title=entry.facts["model"])
    for one in entry.measured:
        way = one.way
        costs = (f"{one.cpu_ms:.1f}", f"{one.wall_ms:.1f}", "*" if way == entry.way else "")
        table.add_row(way.runtime, way.precision, str(way.threads), str(way.batch), *costs)
    _console().print(table)


@app.command("predict")
def predict_command(  # noqa: PLR0917 - each is an option of the command
    model: Annotated[str, typer.Argument(help="name, name@version, or the path of a manifest.")],
    source: Annotated[Path, typer.Argument(help="Picture or folder.")],
    json_path: Annotated[Path | None, typer.Option("--json", help="Write all boxes here.")] = None,
    draw: Annotated[Path | None, typer.Option(help="Write pictures with boxes into this folder.")] = None,
    tiles: Annotated[int | None, typer.Option(min=32, help="Side in px of full-resolution tiles.")] = None,
    runtime: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option()] = "auto",
    precision: Annotated[Precision | None, typer.Option()] = None,
    provider: Annotated[Literal["auto", "cpu", "cuda", "tensorrt"], typer.Option()] = "auto",
    threads: Annotated[int, typer.Option(min=1)] = 1,
    confidence: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    models_dir: ModelsDir = SITE_MODELS,
) -> None:
    """Run a model on a picture or on all pictures of a folder; exit code 1 if one could not be read."""
    from models.load import load_detector  # noqa: PLC0415 - loads a runtime
    from models.predict import pictures_in, report  # noqa: PLC0415 - loads OpenCV

    paths = pictures_in(source)
    detector = load_detector(
        model,
        models_dir=models_dir,
        runtime=runtime,
        precision=precision,
        threads=threads,
        provider=provider,
        confidence=confidence,
    )
    results = _predict_all(detector, paths, source, draw, tiles)
    failed = [item for item in results if item.found is None]
    for item in failed:
        typer.echo(f"{item.path}: {item.reason}", err=True)
    if json_path is not None:
        document = report(detector, results, source)
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    boxes = sum(len(item.found) for item in results if item.found is not None)
    typer.echo(
        f"{len(results) - len(failed)} pictures, {boxes} boxes, {len(failed)} failed ({detector.name})"
    )
    detector.close()
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _predict_all(
    detector: Any, paths: list[Path], source: Path, draw: Path | None, tiles: int | None
) -> list[Any]:
    from dataclasses import replace  # noqa: PLC0415

    import cv2  # noqa: PLC0415

    from models.draw import draw_detections  # noqa: PLC0415
    from models.predict import predict  # noqa: PLC0415
    from models.tiles import TiledDetector  # noqa: PLC0415

    looking = detector if tiles is None else TiledDetector(detector, tiles)
    results = []
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed}/{task.total} {task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("pictures", total=len(paths))
        for item in predict(looking, paths):
            if draw is not None and item.found is not None and item.image is not None:
                below = item.path.relative_to(source) if source.is_dir() else Path(item.path.name)
                target = draw / below.with_suffix(".jpg")
                target.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(target), draw_detections(item.image, item.found))
            results.append(replace(item, image=None))
            progress.advance(task)
    return results


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        msg = f"--size {text!r}: write WxH, such as 640x384"
        raise ModelConfigError(msg)
    return int(width), int(height)


def _picture(path: Path) -> Any:
    from models.predict import read_picture  # noqa: PLC0415 - loads OpenCV

    try:
        return read_picture(path)
    except ValueError as error:
        msg = f"--probe {path}: {error}"
        raise ModelConfigError(msg) from None
