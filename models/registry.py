"""Find models: those shipped in the wheel, and a site's own in a folder of the same layout.

``<root>/<name>/<version>/manifest.json`` beside the files it names. A bare name means the version in
the text file ``<models_dir>/<name>/active``, which ``models promote`` and ``rollback`` write. Where
there is none, it means the newest version that is no candidate, the site's own before the shipped
one of the same version. A candidate is a version in a site's folder whose manifest names a parent: a
retrained model, which runs nowhere by a bare name until it is promoted.
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

    @property
    def is_candidate(self) -> bool:
        """Whether it must be promoted before a bare name can mean it."""
        return self.origin == "site" and self.manifest.parent is not None


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
    shelf = shelf_of(name, models_dir)
    if not shelf.found and not shelf.broken:
        have = sorted(set(_names(models_dir)))
        msg = f"no model {name!r}; there are: {', '.join(have) or 'none'}"
        raise ModelConfigError(msg)
    wanted = version or active_version(name, models_dir)
    return _version(shelf, wanted) if wanted else _unchosen(shelf)


@dataclass(frozen=True, slots=True)
class Broken:
    """A manifest that cannot be used, the version that its folder names, and why."""

    path: Path
    error: ModelConfigError

    @property
    def version(self) -> str:
        """Version by the name of the folder."""
        return self.path.parent.name


@dataclass(frozen=True, slots=True)
class Shelf:
    """All versions of one model: newest first, the site's own before a shipped equal; and broken ones."""

    name: str
    found: tuple[FoundModel, ...]
    broken: tuple[Broken, ...] = ()


def shelf_of(name: str, models_dir: Path | None = None) -> Shelf:
    """Read all manifests of a model; a broken one does not hide the others."""
    if not re.match(NAME_PATTERN, name):
        return Shelf(name, ())
    found: list[FoundModel] = []
    broken: list[Broken] = []
    for origin, root in _roots(models_dir):
        for path in sorted((root / name).glob(f"*/{MANIFEST_FILE}")):
            try:
                manifest = read_manifest(path)
            except ModelConfigError as error:
                broken.append(Broken(path, error))
                continue
            if (manifest.name, manifest.version) == (name, path.parent.name):
                found.append(FoundModel(manifest, path.parent, origin))
            else:
                msg = f"{path}: names {manifest.reference}, but lies in {name}/{path.parent.name}"
                broken.append(Broken(path, ModelConfigError(msg)))
    newest_first = sorted(found, key=lambda item: natural_key(item.manifest.version), reverse=True)
    return Shelf(name, tuple(newest_first), tuple(broken))


def shelves(models_dir: Path | None = None) -> list[Shelf]:
    """Return every model with all its versions, by name."""
    return [shelf_of(name, models_dir) for name in sorted(set(_names(models_dir)))]


def list_models(models_dir: Path | None = None) -> list[FoundModel]:
    """Return every model that can be used, by name, newest version first."""
    return [found for shelf in shelves(models_dir) for found in shelf.found]


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


def _version(shelf: Shelf, wanted: str) -> FoundModel:
    for found in shelf.found:
        if found.manifest.version == wanted:
            return found
    for broken in shelf.broken:
        if broken.version == wanted:
            raise broken.error
    have = [found.manifest.version for found in shelf.found]
    msg = f"model {shelf.name!r} has no version {wanted!r}; there are: {', '.join(have) or 'none'}"
    raise ModelConfigError(msg)


def _unchosen(shelf: Shelf) -> FoundModel:
    """Return what a bare name means where the site has chosen nothing."""
    settled = [found for found in shelf.found if not found.is_candidate]
    newest = natural_key(settled[0].manifest.version) if settled else ()
    for broken in shelf.broken:
        if natural_key(broken.version) > newest:  # it may be the one that is meant
            raise broken.error
    if settled:
        return settled[0]
    candidate = shelf.found[0].manifest.reference
    msg = f"model {shelf.name!r}: only candidates are here; choose one: towerwatch models promote {candidate}"
    raise ModelConfigError(msg)


def _roots(models_dir: Path | None) -> list[tuple[Literal["site", "shipped"], Path]]:
    shipped: tuple[Literal["site", "shipped"], Path] = ("shipped", shipped_dir())
    return [shipped] if models_dir is None else [("site", models_dir), shipped]


def _names(models_dir: Path | None) -> list[str]:
    return [
        path.parent.parent.name
        for _, root in _roots(models_dir)
        for path in root.glob(f"*/*/{MANIFEST_FILE}")
    ]
