"""Measure how a detector errs on real pictures, and write the figures down.

``python -m benchmarks.errors [vehicle|smoke] --data-root DATA --out configs/errors/vehicle.yaml``

See :mod:`benchmarks.errors.measure` and :mod:`benchmarks.errors.measure_smoke` for what is measured.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from benchmarks.errors import measure, measure_smoke

HEADER = """\
# How the shipped {what} detector errs, for rules that are run on truth boxes (benchmarks/events).
# Written by: python -m benchmarks.errors {what} --recipe {recipe} --data-root DATA --out THIS
# night and rain: the day's real pictures darkened with noise, or blurred and streaked; no real ones.
"""


class What(StrEnum):
    """Whose errors."""

    VEHICLE = "vehicle"
    SMOKE = "smoke"


MEASURES = {What.VEHICLE: measure.measure, What.SMOKE: measure_smoke.measure}


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
    what: Annotated[What, typer.Argument(help="Whose errors.")] = What.VEHICLE,
    model: Annotated[str | None, typer.Option(help="Detector to measure; the shipped one.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Whose held-out pictures; that of its name.")] = None,
) -> None:
    """Measure how a detector errs on real pictures."""
    recipe = recipe or Path(f"configs/recipes/{what}.yaml")
    figures = MEASURES[what](model or what, recipe, data_root)
    text = HEADER.format(what=what, recipe=recipe) + yaml.safe_dump(rounded(figures), sort_keys=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
