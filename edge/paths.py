"""Paths in a configuration: relative to the file that names them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from towerwatch.secrets import Secret


def base_of(info: ValidationInfo) -> Path:
    """Return the folder of the file that is read."""
    return Path((info.context or {}).get("base_dir", "."))


def in_folder(value: Any, info: ValidationInfo) -> Any:
    """Make a path relative to the configuration's folder absolute."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        msg = "is empty; write a path, absolute or relative to this file"
        raise ValueError(msg)
    return (base_of(info) / Path(value).expanduser()).resolve()


def _is_file(path: Path) -> Path:
    if not path.is_file():
        msg = f"no file {path}; the path is relative to this file"
        raise ValueError(msg)
    return path


def _is_folder(path: Path) -> Path:
    if not path.is_dir():
        msg = f"no folder {path}; the path is relative to this file"
        raise ValueError(msg)
    return path


def _secret_in_folder(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and value.startswith("file:") and value != "file:":
        return f"file:{in_folder(value.removeprefix('file:'), info)}"
    return value


FolderPath = Annotated[Path, BeforeValidator(in_folder)]
ExistingFile = Annotated[Path, BeforeValidator(in_folder), AfterValidator(_is_file)]
ExistingFolder = Annotated[Path, BeforeValidator(in_folder), AfterValidator(_is_folder)]
SecretRef = Annotated[Secret, BeforeValidator(_secret_in_folder)]
