"""Read a YAML file into a pydantic model; every error names file, line, key and what is right."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from towerwatch.errors import ConfigError, Problem
from towerwatch.secrets import redact

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
        problems = [_problem(path, lines, model, item) for item in _without_echoes(error.errors(), model)]
        raise ConfigError(list(dict.fromkeys(problems))) from None


def problems_at(*problems: tuple[Location, str]) -> ValidationError:
    """Make the error for a validator that knows which keys below it are wrong, and why.

    Raise it from a ``model_validator``: each location is relative to the model that is validated.
    """
    details = [
        InitErrorDetails(type=PydanticCustomError("keyed", "{text}", {"text": text}), loc=at, input=None)
        for at, text in problems
    ]
    return ValidationError.from_exception_data("configuration", details)


class _Loader(yaml.SafeLoader):
    """Safe YAML without the readings of version 1.1 that surprise: 22:00 is no number, a date is text."""


# the table is the class's own copy: {first character: [(tag, pattern), ...]}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith((":int", ":float", ":timestamp"))]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789."),
)
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value.replace("_", "")))


def _parse(path: Path) -> tuple[Any, dict[Location, int]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(str(path), None, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = _line_of(path, error.start)
        raise ConfigError([Problem(str(path), line, "", "is not UTF-8 text; save it as UTF-8")]) from None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise ConfigError([Problem(str(path), 1, "", "is empty")])
        lines = _Lines(path)
        lines.walk(node, ())
        return loader.construct_document(node), lines.found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"{error.context or ''} {error.problem}"
        raise ConfigError([_syntax(path, mark.line + 1 if mark else None, what)]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([_syntax(path, None, str(error))]) from None


def _line_of(path: Path, position: int) -> int:
    return path.read_bytes()[:position].count(b"\n") + 1


def _syntax(path: Path, line: int | None, what: str) -> Problem:
    hint = "; indent with spaces, not tabs" if "\\t" in what else ""
    return Problem(str(path), line, "", f"is not valid YAML: {' '.join(what.split())}{hint}")


MAX_NODES = 100_000  # aliases of aliases grow without limit; no configuration comes near this


@dataclass(slots=True)
class _Lines:
    """Finds the line of every key and item, through aliases and merge keys (``<<``)."""

    path: Path
    found: dict[Location, int] = field(default_factory=dict)
    nodes: int = 0
    above: list[int] = field(default_factory=list)

    def walk(self, node: yaml.Node, at: Location) -> None:
        """Note the lines below ``node``; raise ConfigError for duplicate keys and endless aliases."""
        line = node.start_mark.line + 1
        self.nodes += 1
        if id(node) in self.above or self.nodes > MAX_NODES:
            raise ConfigError([Problem(str(self.path), line, dotted(at), "an alias (*) repeats without end")])
        self.found.setdefault(at, line)
        self.above.append(id(node))
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, at)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.walk(item, (*at, index))
        self.above.pop()

    def _mapping(self, node: yaml.MappingNode, at: Location) -> None:
        seen: set[str] = set()
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            name, line = str(key_node.value), key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                several = isinstance(value_node, yaml.SequenceNode)
                merged += value_node.value if several else [value_node]
                continue
            key = (*at, name)
            if name in seen:
                text = f"stands here a second time, first in line {self.found[key]}; keep one"
                raise ConfigError([Problem(str(self.path), line, dotted(key), text)])
            seen.add(name)
            self.found[key] = line
            self.walk(value_node, key)
        for other in merged:  # after the mapping's own keys, which win
            self.walk(other, at)


def dotted(location: Location) -> str:
    """Render a pydantic location as ``cameras[2].views[0].zones``."""
    out = ""
    for part in location:
        out += f"[{part}]" if isinstance(part, int) else (f".{part}" if out else str(part))
    return out


def _without_echoes(items: list[ErrorDetails], model: type[BaseModel]) -> list[ErrorDetails]:
    """Drop what only follows from another problem.

    A missing key that stands there misspelt; a list that is too short because pydantic does not
    count its broken items.
    """
    meant = {
        (*item["loc"][:-1], *_closest(str(item["loc"][-1]), _fields_at(model, item["loc"][:-1])))
        for item in items
        if item["type"] == "extra_forbidden"
    }
    above = {item["loc"][:length] for item in items for length in range(len(item["loc"]))}
    echoes = {"missing": meant, "too_short": above}
    return [item for item in items if item["loc"] not in echoes.get(item["type"], ())]


def _closest(key: str, valid: list[str]) -> list[str]:
    return difflib.get_close_matches(key, valid, n=1, cutoff=0.5)


def _problem(path: Path, lines: dict[Location, int], model: type[BaseModel], item: ErrorDetails) -> Problem:
    real = _real_location(lines, item)
    line_at = real
    while line_at and line_at not in lines:
        line_at = line_at[:-1]
    return Problem(str(path), lines.get(line_at), dotted(real), redact(_message(model, item)))


def _real_location(lines: dict[Location, int], item: ErrorDetails) -> Location:
    """Return the location as the file has it: pydantic adds union tags and validator names."""
    real: Location = ()
    last = len(item["loc"]) - 1
    for index, part in enumerate(item["loc"]):
        absent = isinstance(part, str) and index == last and item["type"] in {"missing", "keyed"}
        if (*real, part) in lines or absent:
            real = (*real, part)
        elif (*real, str(part)) in lines:  # a key that YAML reads as a number
            real = (*real, str(part))
    if item["type"].startswith("union_tag"):
        real = (*real, _discriminator(item))
    return real


def _discriminator(item: ErrorDetails) -> str:
    return str(item.get("ctx", {}).get("discriminator", "")).strip("'")


def _message(model: type[BaseModel], item: ErrorDetails) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        message = "unknown key" + nearest(str(item["loc"][-1]), _fields_at(model, item["loc"][:-1]))
    elif kind == "missing":
        message = "is missing; add it"
    elif kind == "union_tag_not_found":
        message = f"is missing; add {_discriminator(item)}: and what it is"
    elif kind == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
        message = f"unknown {_discriminator(item)} {context['tag']!r}{nearest(str(context['tag']), tags)}"
    elif kind in _EXPECTED:
        message = f"expected {_EXPECTED[kind]}, got {_kind_of(item['input'])}"
    elif kind == "too_short":
        message = f"needs at least {context['min_length']}, got {context['actual_length']}"
    else:
        message = _as_pydantic_says(item)
    return message


def _as_pydantic_says(item: ErrorDetails) -> str:
    message = item["msg"].removeprefix("Value error, ")
    for start in ("Input should be", "String should"):
        message = message.replace(start, "should be" if start.endswith("be") else "should", 1)
    shown = item["input"]
    if isinstance(shown, str | int | float) and item["type"].startswith(_SHOWN):
        message += f", got {shown!r}"
    return message + ("; put it in quotes" if item["type"] == "string_type" else "")


_EXPECTED = {
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "dict_type": "keys and values",
    "dataclass_type": "keys and values",
    "list_type": "a list",
    "tuple_type": "a list",
    "missing_argument": "keys and values",
}
_SHOWN = (
    "int_", "float_", "bool_", "string_", "literal", "enum", "greater", "less", "finite", "multiple",
)  # fmt: skip


def _kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    names = ((bool, "true or false"), (dict, "keys and values"), (list, "a list"), (str, "text"))
    return next((name for kind, name in names if isinstance(value, kind)), "a number")


def nearest(key: str, valid: list[str]) -> str:
    """Return ``; did you mean 'x'?``, or the list of what is valid, to end a message with."""
    match = _closest(key, valid)
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
            names += [info.alias or name for name, info in found.model_fields.items()]
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in getattr(annotation, "__args__", ()) for found in _models_in(arg)]


def _step(annotation: Any, part: int | str) -> list[Any]:
    found = []
    models = _models_in(annotation)
    for model in models:
        for name, info in model.model_fields.items():
            if part in {name, info.alias}:
                found.append(info.annotation)
    tagged = [model for model in models if _has_tag(model, part)]
    return found or list(tagged) or [annotation]  # a list index or a dict key: stay


def _has_tag(model: type[BaseModel], tag: int | str) -> bool:
    """Whether a union is told apart by a field of this model that can only be ``tag``."""
    return any(get_args(info.annotation) == (tag,) for info in model.model_fields.values())
