"""Read a YAML file into a pydantic model; every error names file, line, key and what is right."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from towerwatch.errors import ConfigError, Problem

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]


class StrictModel(BaseModel):
    """Base of every configuration model: frozen, no unknown keys, no silent coercion of text."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def load_yaml(path: Path, model: type[Model], context: dict[str, Any] | None = None) -> Model:
    """Parse ``path`` and validate it as ``model``.

    ``context`` reaches the validators; ``context["base_dir"]`` is set to the folder of the file,
    so that paths in it are relative to it.

    Raises:
        ConfigError: the file is missing, is no YAML, has a duplicate key, or does not fit the
            model; one :class:`~towerwatch.errors.Problem` for each thing that is wrong.

    """
    document, lines = _parse(path)
    try:
        return model.model_validate(document, context={"base_dir": path.parent, **(context or {})})
    except ValidationError as error:
        raise ConfigError([_problem(path, lines, model, item) for item in error.errors()]) from None


def problems_at(*problems: tuple[Location, str]) -> ValidationError:
    """Make the error for a validator that knows which keys below it are wrong, and why.

    Raise it from a ``model_validator``: each location is relative to the model that is validated.
    """
    details = [
        InitErrorDetails(type=PydanticCustomError("keyed", "{text}", {"text": text}), loc=at, input=None)
        for at, text in problems
    ]
    return ValidationError.from_exception_data("configuration", details)


def _parse(path: Path) -> tuple[Any, dict[Location, int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem(str(path), None, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), None, "", "is not UTF-8 text")]) from None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise ConfigError([Problem(str(path), 1, "", "is empty")])
        lines: dict[Location, int] = {}
        _walk(path, node, (), lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise ConfigError([Problem(str(path), line, "", f"is not valid YAML: {error.problem}")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([Problem(str(path), None, "", f"is not valid YAML: {error}")]) from None


def _walk(path: Path, node: yaml.Node, at: Location, lines: dict[Location, int]) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = (*at, str(key_node.value))
            line = key_node.start_mark.line + 1
            if key in lines:
                raise ConfigError([Problem(str(path), line, dotted(key), "stands here a second time")])
            lines[key] = line
            _walk(path, value_node, key, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(path, item, (*at, index), lines)


def dotted(location: Location) -> str:
    """Render a pydantic location as ``cameras[2].views[0].zones``."""
    out = ""
    for part in location:
        out += f"[{part}]" if isinstance(part, int) else (f".{part}" if out else str(part))
    return out


def _problem(path: Path, lines: dict[Location, int], model: type[BaseModel], item: ErrorDetails) -> Problem:
    # pydantic adds union tags and validator names to a location; keep what the file really has
    real: Location = ()
    for part in item["loc"]:
        if (*real, part) in lines or (isinstance(part, str) and item["type"] == "missing"):
            real = (*real, part)
    if item["type"] == "extra_forbidden" and real != item["loc"]:
        real = (*real, item["loc"][-1]) if (*real, item["loc"][-1]) in lines else real
    line_at = real
    while line_at and line_at not in lines:
        line_at = line_at[:-1]
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "unknown key" + nearest(str(item["loc"][-1]), _fields_at(model, item["loc"][:-1]))
    elif item["type"] == "missing":
        message = "is missing"
    return Problem(str(path), lines.get(line_at), dotted(real), message)


def nearest(key: str, valid: list[str]) -> str:
    """Return ``; did you mean 'x'?``, or the list of what is valid, to end a message with."""
    match = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    if match:
        return f"; did you mean {match[0]!r}?"
    return f"; valid here: {', '.join(sorted(valid))}" if valid else ""


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the field names valid at a location, walking annotations and their unions."""
    candidates: list[Any] = [model]
    for part in location:
        candidates = [inner for outer in candidates for inner in _step(outer, part)]
    names: list[str] = []
    for candidate in candidates:
        for found in _models_in(candidate):
            names += [field.alias or name for name, field in found.model_fields.items()]
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in getattr(annotation, "__args__", ()) for found in _models_in(arg)]


def _step(annotation: Any, part: int | str) -> list[Any]:
    found = []
    for model in _models_in(annotation):
        for name, field in model.model_fields.items():
            if part in {name, field.alias}:
                found.append(field.annotation)
    return found or [annotation]  # a list index, a dict key or a union tag: stay
