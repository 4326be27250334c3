from __future__ import annotations

from pathlib import Path

import pytest

import configs
from models.train.recipe import load_recipe
from towerwatch.errors import ConfigError

RECIPES = sorted((Path(configs.__file__).parent / "recipes").glob("*.yaml"))
GOOD = """name: x
labels: [vehicle]
sources:
  - {id: a, reader: yolo, path: p, licence: CC0-1.0, classes: {"0": vehicle}}
"""


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_ships_can_be_read(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert not any("figlib" in source.path or "nemo_clean" in source.path for source in recipe.sources)
    assert all(source.licence for source in recipe.sources)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("vehicle}", "car}"), "'car' is none of the labels vehicle"),
        (GOOD + "  - {id: a, reader: yolo, path: p, licence: x}\n", "stand twice: a"),
        (
            GOOD + "composed: [{id: c, composer: street, count: 1, backgrounds: [q]}]\n",
            "background 'q' is no source",
        ),
        (GOOD + "fit: {epoch: 3}\n", "did you mean 'epochs'"),
        (GOOD + "fit: {mean_with: {a: 0.6, b: 0.4}}\n", "add up to 1, nothing trained is left"),
    ],
    ids=["label", "twice", "background", "key", "mean"],
)
def test_a_wrong_recipe_says_what_would_be_right(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_recipe(path)
