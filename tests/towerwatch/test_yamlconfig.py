"""A YAML file becomes a model, or every problem is told with file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, Strict, model_validator

from towerwatch.errors import ConfigError, Problem
from towerwatch.yamlconfig import StrictModel, dotted, load_yaml, nearest, problems_at


class Cat(StrictModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(StrictModel):
    kind: Literal["dog"]
    bark_s: float = 1.0


class House(StrictModel):
    name: str
    rooms: Annotated[int, Strict(), Field(ge=1)] = 1
    pets: tuple[Annotated[Cat | Dog, Field(discriminator="kind")], ...] = ()
    notes: dict[str, int] = Field(default_factory=dict)
    day: str = ""
    height_m: float | None = None

    @model_validator(mode="after")
    def _fits(self) -> House:
        if len(self.pets) > 2:
            raise problems_at((("pets", 2), "is one too many"), (("rooms",), "must grow"))
        return self


def load(tmp_path: Path, text: str) -> House:
    path = tmp_path / "house.yaml"
    path.write_text(text, encoding="utf-8")
    return load_yaml(path, House)


def problems(tmp_path: Path, text: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        pytest.param("nam: x", 1, "nam", "unknown key; did you mean 'name'?", id="unknown and missing"),
        pytest.param("rooms: 2", 1, "name", "is missing; add it", id="missing"),
        pytest.param("name: x\nrooms: a", 2, "rooms", "should be a valid integer, got 'a'", id="text"),
        pytest.param(
            "name: x\nrooms: 0", 2, "rooms", "should be greater than or equal to 1, got 0", id="small"
        ),
        pytest.param("name: 5", 1, "name", "should be a valid string, got 5; put it in quotes", id="number"),
        pytest.param("name: x\npets: 3", 2, "pets", "expected a list, got a number", id="list"),
        pytest.param(
            "name: x\npets:\n  - 3", 3, "pets[0]", "expected keys and values, got a number", id="item"
        ),
        pytest.param(
            "name: x\npets:\n  - kind: cow",
            3,
            "pets[0].kind",
            "unknown kind 'cow'; valid here: cat, dog",
            id="kind",
        ),
        pytest.param(
            "name: x\npets:\n  - lives: 3",
            3,
            "pets[0].kind",
            "is missing; add kind: and what it is",
            id="no kind",
        ),
        pytest.param(
            "name: x\npets:\n  - kind: cat\n    live: 3",
            4,
            "pets[0].live",
            "unknown key; did you mean 'lives'?",
            id="key of the kind",
        ),
        pytest.param(
            "name: x\npets:\n  - kind: dog\n    live: 3",
            4,
            "pets[0].live",
            "unknown key; valid here: bark_s, kind",
            id="key of the other kind is not offered",
        ),
        pytest.param(
            "name: x\nnotes: {a: b}",
            2,
            "notes.a",
            "should be a valid integer, unable to parse string as an integer, got 'b'",
            id="value of a dict",
        ),
        pytest.param("name: x\nnotes: [a]", 2, "notes", "expected keys and values, got a list", id="dict"),
        pytest.param("name: x\n1: y", 2, "1", "Keys should be strings", id="number as key"),
        pytest.param(
            "name: x\nname: y", 2, "name", "stands here a second time, first in line 1; keep one", id="twice"
        ),
        pytest.param(
            "name: x\nday: 1\nheight_m: .inf",
            2,
            "day",
            "should be a valid string, got 1; put it in quotes",
            id="first of two",
        ),
    ],
)
def test_a_problem_names_line_and_key_and_what_is_right(
    tmp_path: Path, text: str, line: int, key: str, message: str
) -> None:
    found = problems(tmp_path, text)[0]
    assert (found.line, found.key, found.message) == (line, key, message)
    assert str(found) == f"{tmp_path / 'house.yaml'}:{line}: {key}: {message}"


def test_a_validator_can_blame_keys_below_it(tmp_path: Path) -> None:
    text = "name: x\nrooms: 1\npets:\n  - kind: cat\n  - kind: dog\n  - kind: cat\n"
    assert [(p.line, p.key, p.message) for p in problems(tmp_path, text)] == [
        (6, "pets[2]", "is one too many"),
        (2, "rooms", "must grow"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        pytest.param("name: x\n\trooms: 1", 2, "spaces, not tabs", id="tab"),
        pytest.param("name: [x", 1, "expected ',' or ']'", id="open"),
        pytest.param("name: *x", 1, "undefined alias", id="alias"),
        pytest.param("name: x\n---\nname: y", 2, "single document", id="two documents"),
        pytest.param("name: !!python/name:os.system x", 1, "could not determine a constructor", id="code"),
        pytest.param("? [a]\n: b", 1, "unhashable key", id="list as key"),
        pytest.param("", 1, "is empty", id="empty"),
        pytest.param("name: &a\n  - *a\n", 1, "repeats without end", id="alias in itself"),
        pytest.param(
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{n}: &{n} [{','.join(['*' + p] * 10)}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
            ),
            None,
            "repeats without end",
            id="aliases that explode",
        ),
        pytest.param("name: \x07", None, "not valid YAML", id="bell"),
    ],
)
def test_what_is_no_yaml_is_one_problem(tmp_path: Path, text: str, line: int | None, part: str) -> None:
    (found,) = problems(tmp_path, text)
    assert part in found.message
    assert "\n" not in found.message
    assert line is None or found.line == line


def test_latin_1_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    path.write_bytes(b"rooms: 1\nname: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"house\.yaml:2: is not UTF-8"):
        load_yaml(path, House)


def test_a_folder_or_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path, House)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("day: 22:00", "22:00", id="time of day"),
        pytest.param("day: 2026-05-01", "2026-05-01", id="date"),
        pytest.param("day: 1:2:3", "1:2:3", id="colons"),
        pytest.param("rooms: 1_000", 1000, id="underscores"),
        pytest.param("rooms: 0x10", 16, id="hexadecimal"),
        pytest.param("rooms: 0", None, id="too small"),
        pytest.param("height_m: 1e3", 1000.0, id="exponent"),
        pytest.param("height_m: .5", 0.5, id="no leading nought"),
        pytest.param("height_m: -1.5e-2", -0.015, id="negative"),
        pytest.param("height_m: 1_0.5", 10.5, id="underscore in a fraction"),
        pytest.param("height_m: 007.5", 7.5, id="leading noughts"),
    ],
)
def test_scalars_are_read_as_people_mean_them(tmp_path: Path, text: str, value: object) -> None:
    if value is None:
        assert problems(tmp_path, f"name: x\n{text}")
        return
    house = load(tmp_path, f"name: x\n{text}")
    assert getattr(house, text.partition(":")[0]) == value


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert load_yaml(path, House).name == "x"


def test_merged_keys_know_their_line(tmp_path: Path) -> None:
    text = "name: x\npets:\n  - &p\n    kind: cat\n    lives: nine\n  - <<: [*p]\n    kind: cat\n"
    assert [(p.line, p.key) for p in problems(tmp_path, text)] == [(5, "pets[0].lives"), (5, "pets[1].lives")]


def test_a_password_in_a_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    text = "name: x\nrooms: http://user:hunter2@host/\n"
    assert "hunter2" not in problems(tmp_path, text)[0].message


def test_locations_and_nearest_names_read_well() -> None:
    assert dotted(("cameras", 2, "views", 0, "zones")) == "cameras[2].views[0].zones"
    assert nearest("sit", ["site", "edge"]) == "; did you mean 'site'?"
    assert nearest("q", ["b", "a"]) == "; valid here: a, b"
    assert nearest("q", []) == ""
