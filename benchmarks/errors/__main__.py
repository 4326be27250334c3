"""Measure how a detector errs on real pictures, and write the figures down.

``python -m benchmarks.errors --data-root DATA --out configs/errors/vehicle.yaml``

See :mod:`benchmarks.errors.measure` for what is measured and how.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from benchmarks.errors.measure import measure

HEADER = """\
# How the shipped vehicle detector errs, for rules that are run on truth boxes (benchmarks/events).
# Written by: python -m benchmarks.errors --data-root DATA --out THIS
# night and rain: the day's real pictures darkened with noise, or blurred and streaked; no real ones.
"""


def rounded(value: Any) -> Any:
    """Round every number to four digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def main(
    data_root: Annotated[Path, typer.Option(help="Folder of the real data.")],
    out: Annotated[Path, typer.Option(help="YAML to write.")],
    model: Annotated[str, typer.Option(help="Detector to measure.")] = "vehicle",
    recipe: Annotated[Path, typer.Option(help="Whose held-out pictures.")] = Path(
        "configs/recipes/vehicle.yaml"
    ),
) -> None:
    """Measure how a detector errs on real pictures."""
    text = HEADER + yaml.safe_dump(rounded(measure(model, recipe, data_root)), sort_keys=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
