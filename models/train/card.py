"""The model card: words from the recipe, figures from reports, and the command behind each figure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.manifest import Manifest
from models.train.recipe import Recipe

CARD_FILE = "MODEL_CARD.md"
COLUMNS = (
    ("pictures", "pictures"),
    ("map50", "mAP50"),
    ("map50_95", "mAP50-95"),
    ("recall", "recall"),
    ("precision", "precision"),
    ("false_boxes_per_picture", "false boxes a picture"),
    ("empty_frames_with_box_frac", "empty frames with a box"),
)
WAY_COLUMNS = (
    ("numeric", "computed in"),
    ("runtime", "runtime"),
    ("pictures", "pictures"),
    ("map50", "mAP50"),
    ("map50_95", "mAP50-95"),
    ("cpu_ms", "CPU ms a picture"),
    ("times_as_fast", "times as fast as f32"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One report that the card shows: a title, the document, and the command that makes it again."""

    title: str
    document: Mapping[str, Any]
    command: str


def read_figure(path: Path, names: Mapping[str, str]) -> Figure:
    """Read a figure file: JSON with ``title``, ``command`` and ``document`` (a report).

    ``names`` replaces folders of this machine in the command by names that a reader can fill in.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    command = re.sub(r" --json \S+| --title '[^']*'", "", content["command"])
    for folder, name in names.items():
        command = command.replace(folder, name)
    return Figure(content["title"], content["document"], f"{command} --json OUT.json")


def trained_on(recipe: Recipe, counts: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """Say in one line a source what a model learnt from, with its licence."""
    licences = {source.id: source.licence for source in recipe.sources}
    licences |= {source.id: source.licence for source in recipe.composed}
    return tuple(
        f"{name}: {counts[name].get('train_pictures', 0)} training pictures, "
        f"{counts[name].get('train_boxes', 0)} boxes; {licence}"
        for name, licence in licences.items()
        if name in counts
    )


def card_text(manifest: Manifest, recipe: Recipe, figures: Sequence[Figure], training: Sequence[str]) -> str:
    """Write the card; Markdown."""
    limits = manifest.thresholds
    parts = [
        f"# {manifest.reference}",
        recipe.card.purpose,
        (
            f"Classes: {', '.join(manifest.labels)}. "
            f"Input {manifest.input.width_px}x{manifest.input.height_px}. "
            f"Threshold {limits.confidence}, NMS at IoU {limits.nms_iou}. Licence: {manifest.licence}."
        ),
        "## Trained on",
        _bullets(manifest.trained_on),
        "## How it was trained",
        "```\n" + "\n".join(training) + "\n```",
        "## Figures",
        *[_figure(figure) for figure in figures],
        "## Where it fails",
        _bullets(recipe.card.fails),
        "## Notes",
        _bullets(recipe.card.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _figure(figure: Figure) -> str:
    document = figure.document
    if "ways" in document:
        body = _ways(document["ways"])
    elif "seen_frac" in document:
        rows = [f"| {name} | {share} |" for name, share in document["seen_frac"].items()]
        other = (
            f"{document['model']} {document['numeric']}. Frames judged: {document['frames']}; "
            f"other boxes a frame: {document['other_boxes_per_frame']}."
        )
        body = "\n".join(["| place | share of frames seen |", "|---|---|", *rows]) + f"\n\n{other}"
    else:
        body = _table(document)
    return f"### {figure.title}\n\n{body}\n\n`{figure.command}`"


def _ways(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = " | ".join(title for _key, title in WAY_COLUMNS)
    cells = ["| " + " | ".join(_cell(row[key], None) for key, _title in WAY_COLUMNS) + " |" for row in rows]
    return "\n".join([f"| {heads} |", "|" + "---|" * len(WAY_COLUMNS), *cells])


def _table(document: Mapping[str, Any]) -> str:
    models = document.get("models", [document])
    heads = [title for _key, title in COLUMNS]
    lines = ["| model | at | " + " | ".join(heads) + " |", "|" + "---|" * (len(heads) + 2)]
    for item in models:
        spans = item.get("intervals_95", {})
        cells = [_cell(item.get(key), spans.get(key)) for key, _title in COLUMNS]
        at = f"{item['threshold']}, IoU {item['iou']}" + (
            f", tiles {item['tile_px']}" if item.get("tile_px") else ""
        )
        lines.append(f"| {item['model']} {item['numeric']} | {at} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: Any, span: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value} ({span[0]} to {span[1]})" if span else f"{value}"
