"""Areas from GeoJSON (RFC 7946): a feature each, with its id, level and names; whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from shapely import STRtree, is_valid_reason
from shapely.errors import GEOSException
from shapely.geometry import MultiPolygon, Point, Polygon, mapping, shape

from alerts.mistakes import Mistake
from towerwatch.errors import ConfigError, Problem
from towerwatch.yamlconfig import nearest

MAX_BYTES = 256 << 20


class Level(StrEnum):
    """How large an area is, largest first."""

    CITY = "city"
    COUNTY = "county"
    TOWNSHIP = "township"
    GRID = "grid"


LEVELS: dict[Level, tuple[str, str]] = {
    Level.CITY: ("市", "City"),
    Level.COUNTY: ("区县", "County"),
    Level.TOWNSHIP: ("乡镇街道", "Township"),
    Level.GRID: ("网格", "Grid cell"),
}
ORDER = {level: at for at, level in enumerate(Level)}


class AreaProperties(BaseModel):
    """What a feature says of itself; a parent that it does not name is found by where it lies."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]
    level: Level
    zh: Annotated[str, Field(min_length=1, max_length=80)]
    en: Annotated[str, Field(max_length=80)] = ""
    parent: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")] | None = None


@dataclass(frozen=True, slots=True)
class AreaShape:
    """One area with its polygon in WGS 84 (x is longitude, y is latitude, degrees)."""

    id: str
    level: Level
    zh: str
    en: str
    parent: str | None
    polygon: Polygon | MultiPolygon

    def geometry(self) -> dict[str, Any]:
        """Return the polygon as GeoJSON."""
        return json.loads(json.dumps(mapping(self.polygon)))  # type: ignore[no-any-return]  # tuples become lists


def read_areas(path: Path) -> tuple[AreaShape, ...]:
    """Read areas, parents first.

    Raises:
        ConfigError: one problem for each thing that is wrong, with the number of its feature.

    """
    features = _features(path)
    problems: list[Problem] = []
    found: list[tuple[int, AreaShape]] = []
    for number, feature in enumerate(features):
        area = _area(path, number, feature, problems)
        if area is not None:
            found.append((number, area))
    problems += _twice(path, found)
    if problems:
        raise ConfigError(problems)
    by_id = {area.id: area for _number, area in found}
    placed = [(number, _with_parent(area, by_id)) for number, area in found]
    for number, area in placed:
        problems += _misplaced(path, number, area, by_id)
    if problems:
        raise ConfigError(problems)
    return tuple(sorted((area for _number, area in placed), key=lambda area: ORDER[area.level]))


def _features(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _refused(path, "file_large", most=MAX_BYTES >> 20)
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise _refused(path, "file_unreadable", why=error.strerror) from None
    except json.JSONDecodeError as error:
        raise _refused(path, "not_json", error.lineno, why=error.msg) from None
    except (ValueError, RecursionError):  # no text, nested without end, or a number of thousands of digits
        raise _refused(path, "not_geojson") from None
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list) or not features:
        raise ConfigError([Problem(str(path), None, "features", Mistake.of("no_collection"))])
    return features


def _refused(path: Path, code: str, line: int | None = None, **values: object) -> ConfigError:
    return ConfigError([Problem(str(path), line, "", Mistake.of(code, **values))])


def _area(path: Path, number: int, feature: Any, problems: list[Problem]) -> AreaShape | None:
    def wrong(key: str, text: str) -> None:
        problems.append(Problem(str(path), None, f"features[{number}]{key}", text))

    if not isinstance(feature, dict):
        wrong("", Mistake.of("no_feature"))
        return None
    told = len(problems)
    properties = feature.get("properties") or {}
    if isinstance(properties, dict) and "id" not in properties and "id" in feature:
        properties = {**properties, "id": feature["id"]}
    says = None
    try:
        says = AreaProperties.model_validate(properties)
    except ValidationError as error:
        for item in error.errors():
            key = ".".join(map(str, item["loc"]))
            text = Mistake.of("missing") if item["type"] == "missing" else item["msg"]
            wrong(f".properties.{key}", text)
    polygon = _polygon(feature.get("geometry"), wrong)
    if says is None or polygon is None or len(problems) > told:
        return None
    return AreaShape(says.id, says.level, says.zh, says.en or says.zh, says.parent, polygon)


def _polygon(geometry: Any, wrong: Any) -> Polygon | MultiPolygon | None:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in {"Polygon", "MultiPolygon"}:
        wrong(".geometry", Mistake.of("geometry_kind", kind=kind or "none"))
        return None
    try:
        polygon = shape(geometry)
    except (GEOSException, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        wrong(".geometry.coordinates", Mistake.of("no_polygon", why=" ".join(str(error).split())[:120]))
        return None
    if polygon.is_empty or not polygon.is_valid:
        wrong(".geometry", Mistake.of("polygon_invalid", why=is_valid_reason(polygon)))
        return None
    west, south, east, north = polygon.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        reach = f"from {west:g},{south:g} to {east:g},{north:g}"
        wrong(".geometry", Mistake.of("not_degrees", reach=reach))
        return None
    return polygon  # type: ignore[return-value]  # one of the two, by its kind


def _twice(path: Path, found: Iterable[tuple[int, AreaShape]]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for number, area in found:
        first = seen.setdefault(area.id, number)
        if first != number:
            text = Mistake.of("area_twice", area=area.id, first=first)
            yield Problem(str(path), None, f"features[{number}].properties.id", text)


def _with_parent(area: AreaShape, by_id: dict[str, AreaShape]) -> AreaShape:
    """Give an area that names no parent the smallest larger one that it lies in."""
    if area.parent is not None or area.level is Level.CITY:
        return area
    inside = area.polygon.representative_point()
    larger = [
        other
        for other in by_id.values()
        if ORDER[other.level] < ORDER[area.level] and other.polygon.covers(inside)
    ]
    parent = max(larger, key=lambda other: ORDER[other.level]).id if larger else None
    return AreaShape(area.id, area.level, area.zh, area.en, parent, area.polygon)


def _misplaced(path: Path, number: int, area: AreaShape, by_id: dict[str, AreaShape]) -> Iterator[Problem]:
    if area.parent is None:
        return
    key = f"features[{number}].properties.parent"
    parent = by_id.get(area.parent)
    if parent is None:
        hint = nearest(area.parent, list(by_id))
        yield Problem(str(path), None, key, Mistake.of("no_area", area=area.parent, hint=hint))
    elif ORDER[parent.level] >= ORDER[area.level]:
        text = Mistake.of("parent_small", parent=parent.id, level=parent.level, own=area.level)
        yield Problem(str(path), None, key, text)
    elif not parent.polygon.intersects(area.polygon.representative_point()):
        yield Problem(str(path), None, key, Mistake.of("parent_elsewhere", area=area.id, parent=parent.id))


class AreaIndex:
    """Finds the areas of a place fast: a tree over all polygons."""

    def __init__(self, areas: Iterable[AreaShape]) -> None:
        """Build the tree."""
        self.areas = tuple(areas)
        self._tree = STRtree([area.polygon for area in self.areas])

    def at(self, lat_deg: float, lon_deg: float) -> tuple[AreaShape, ...]:
        """Return the areas that a place lies in or on the edge of, smallest first."""
        found = [self.areas[at] for at in self._tree.query(Point(lon_deg, lat_deg), predicate="intersects")]
        return tuple(sorted(found, key=lambda area: (-ORDER[area.level], area.polygon.area, area.id)))
