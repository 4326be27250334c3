"""Points that somebody clicked for ``edge calibrate``: YAML, or CSV with the same names as columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, Strict, ValidationError, model_validator

from edge.mount import Latitude, Longitude, Number, Sd
from towerwatch.errors import ConfigError, Problem
from towerwatch.geometry.calibrate import Clicked
from towerwatch.yamlconfig import StrictModel, load_yaml, nearest, problems_at

Pixel = Annotated[float, Strict(), Field(ge=0, le=32_768)]


class PointConfig(StrictModel):
    """One clicked point: a landmark with latitude and longitude, or ``horizon: true``.

    Attributes:
        height_m: of what was clicked above the ground there: 0 for a foot, the height of a spire for its tip.
        click_sd_px: how well it was clicked.
        position_sd_m: how well the landmark's place is known.
        height_sd_m: how well its height is known, the ground's included.
        horizon_sd_deg: how far trees and rises lift the horizon.

    """

    name: Annotated[str, Field(min_length=1, max_length=64)]
    x_px: Pixel
    y_px: Pixel
    lat_deg: Latitude | None = None
    lon_deg: Longitude | None = None
    height_m: Number = 0.0
    horizon: bool = False
    click_sd_px: Sd = 2.0
    position_sd_m: Sd = 2.0
    height_sd_m: Sd = 0.5
    horizon_sd_deg: Sd = 0.03

    @model_validator(mode="after")
    def _one_kind(self) -> PointConfig:
        for key, value in (("lat_deg", self.lat_deg), ("lon_deg", self.lon_deg)):
            if self.horizon and value is not None:
                raise problems_at(((key,), "a point on the horizon has no place; keep one of the two"))
            if not self.horizon and value is None:
                raise problems_at(((key,), "is missing; add it, or horizon: true"))
        return self

    def clicked(self) -> Clicked:
        """Return it as the solver takes it."""
        return Clicked(**self.model_dump(exclude={"horizon"}))


class PointsFile(StrictModel):
    """The YAML form."""

    points: tuple[PointConfig, ...] = Field(min_length=1, max_length=200)


def read_points(path: Path, size_px: tuple[int, int]) -> tuple[Clicked, ...]:
    """Read the points of a picture of a size, (width, height).

    Raises:
        ConfigError: with file, line and key of each thing that is wrong.

    """
    is_csv = path.suffix.lower() == ".csv"
    points = _read_csv(path) if is_csv else load_yaml(path, PointsFile).points
    outside = [point.name for point in points if point.x_px > size_px[0] or point.y_px > size_px[1]]
    if outside:
        msg = (
            f"{path}: {', '.join(outside)}: outside a picture of {size_px[0]}x{size_px[1]};"
            " give the picture's size with --size"
        )
        raise ConfigError(msg)
    return tuple(point.clicked() for point in points)


def _read_csv(path: Path) -> tuple[PointConfig, ...]:
    points: list[PointConfig] = []
    problems: list[Problem] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            known = list(PointConfig.model_fields)
            problems += [
                Problem(str(path), 1, name, f"unknown column{nearest(name, known)}")
                for name in columns
                if name not in known
            ]
            for row in reader if not problems else ():
                try:
                    points.append(PointConfig.model_validate(dict(_cells(row))))
                except ValidationError as error:
                    problems += [
                        Problem(str(path), reader.line_num, str((item["loc"] or ("",))[0]), item["msg"])
                        for item in error.errors()
                    ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no CSV file in UTF-8"
        raise ConfigError([Problem(str(path), None, "", f"cannot be read: {reason}")]) from None
    if problems:
        raise ConfigError(problems)
    return tuple(points)


def _cells(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the cells that are filled in, numbers as numbers."""
    for name, text in row.items():
        value = text.strip() if isinstance(text, str) else ""
        if not value:
            continue
        if name == "name":
            yield name, value
        elif name == "horizon":
            yield name, {"true": True, "yes": True, "1": True}.get(value.lower(), False)
        else:
            try:
                yield name, float(value)
            except ValueError:
                yield name, value
