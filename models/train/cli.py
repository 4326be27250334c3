"""``towerwatch models`` commands for those who train: prepare, train, export, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True)
_console = Console(stderr=True)


def say(text: str) -> None:
    """Print progress on standard error."""
    _console.print(text, markup=False, highlight=False)


@app.command()
def train(
    recipe_file: Annotated[Path, typer.Argument(metavar="RECIPE.yaml")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's source paths are relative to.")],
    weights: Annotated[Path, typer.Option(help="Folder of the weights that a recipe starts from.")],
    runs: Annotated[Path, typer.Option(help="Where data, checkpoints and plots go.")] = Path("runs"),
    models_dir: Annotated[Path, typer.Option(help="Where teachers are imported to.")] = Path("site-models"),
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


if __name__ == "__main__":
    app()
