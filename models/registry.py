"""Find models: those shipped in the wheel, and a site's own in a folder of the same layout.

``<root>/<name>/<version>/manifest.json`` beside the files it names. A text file
``<models_dir>/<name>/active`` with a version in it makes that version the one that a bare name
means; otherwise the newest is meant, the site's own before the shipped one of the same version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from models.errors import DigestMismatch, ModelConfigError, ModelFileError
from models.manifest import (
    MANIFEST_FILE,
    NAME_PATTERN,
    VERSION_PATTERN,
    Manifest,
    natural_key,
    read_manifest,
    read_verified,
)

ACTIVE_FILE = "active"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A manifest, the folder that its files lie in, and whose it is."""

    manifest: Manifest
    folder: Path
    origin: Literal["shipped", "site", "path"]


def shipped_dir() -> Path:
    """Return the folder of the models that come with the wheel; it may be absent."""
    return Path(str(resources.files("models") / "weights"))


def find_model(name_or_path: str, models_dir: Path | None = None) -> FoundModel:
    """Find ``name``, ``name@version``, or a manifest by the path of its folder or itself.

    Raises:
        ModelConfigError: there is none; says what there is.

    """
    if name_or_path.endswith(".onnx"):
        msg = f"{name_or_path}: import it first: towerwatch models import {name_or_path} --name N --labels L"
        raise ModelConfigError(msg)
    if "/" in name_or_path or name_or_path.endswith(".json"):
        path = Path(name_or_path)
        path = path / MANIFEST_FILE if path.is_dir() else path
        return FoundModel(read_manifest(path), path.parent, "path")
    name, _, version = name_or_path.partition("@")
    versions = versions_of(name, models_dir)
    if not versions:
        have = sorted(set(_names(models_dir)))
        msg = f"no model {name!r}; there are: {', '.join(have) or 'none'}"
        raise ModelConfigError(msg)
    wanted = version or active_version(name, models_dir)
    if not wanted:
        return versions[0]
    for found in versions:
        if found.manifest.version == wanted:
            return found
    have = [found.manifest.version for found in versions]
    msg = f"model {name!r} has no version {wanted!r}; there are: {', '.join(have)}"
    raise ModelConfigError(msg)


def versions_of(name: str, models_dir: Path | None = None) -> list[FoundModel]:
    """Return all versions of a model, newest first, the site's own before a shipped equal."""
    if not re.match(NAME_PATTERN, name):
        return []
    found = []
    for origin, root in _roots(models_dir):
        for path in sorted((root / name).glob(f"*/{MANIFEST_FILE}")):
            manifest = read_manifest(path)
            if (manifest.name, manifest.version) != (name, path.parent.name):
                msg = f"{path}: names {manifest.reference}, but lies in {name}/{path.parent.name}"
                raise ModelConfigError(msg)
            found.append(FoundModel(manifest, path.parent, origin))
    return sorted(found, key=lambda item: natural_key(item.manifest.version), reverse=True)


def list_models(models_dir: Path | None = None) -> list[FoundModel]:
    """Return every model, by name, newest version first."""
    return [found for name in sorted(set(_names(models_dir))) for found in versions_of(name, models_dir)]


def active_version(name: str, models_dir: Path | None) -> str | None:
    """Return the version that the site has made active, None where it has not chosen.

    Raises:
        ModelConfigError: the file holds no version.

    """
    path = None if models_dir is None else models_dir / name / ACTIVE_FILE
    if path is None or not path.is_file():
        return None
    version = path.read_text(encoding="utf-8").strip()
    if not re.match(VERSION_PATTERN, version):
        msg = f"{path}: {version!r} is no version"
        raise ModelConfigError(msg)
    return version


def verify(found: FoundModel) -> list[str]:
    """Check the digest and size of every file of a model; return what is wrong, one line each."""
    wrong = []
    for file in found.manifest.files:
        try:
            size_bytes = len(read_verified(file, found.folder))
        except (DigestMismatch, ModelFileError) as error:
            wrong.append(str(error))
            continue
        if size_bytes != file.bytes:
            wrong.append(f"{found.folder / file.path}: {size_bytes} bytes, the manifest names {file.bytes}")
    return wrong


def _roots(models_dir: Path | None) -> list[tuple[Literal["site", "shipped"], Path]]:
    shipped: tuple[Literal["site", "shipped"], Path] = ("shipped", shipped_dir())
    return [shipped] if models_dir is None else [("site", models_dir), shipped]


def _names(models_dir: Path | None) -> list[str]:
    return [
        path.parent.parent.name
        for _, root in _roots(models_dir)
        for path in root.glob(f"*/*/{MANIFEST_FILE}")
    ]
