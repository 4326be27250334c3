"""Zones in a box's configuration, as text: read them, and put others in their place, leaving the rest alone.

What else stands in the file keeps its bytes, comments too: the zones of one view are written anew.
The box checks the whole file before it tries it; here only what is drawn is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from shapely.geometry import Polygon

from alerts.services.errors import Invalid, NotFound
from alerts.topics import ID_PATTERN

MAX_ZONES = 32
MAX_POINTS = 200
FIXED = "fixed"  # the preset of a camera that does not turn
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ZoneShape:
    """One zone: its id, and its corners in [0, 1] of the frame."""

    id: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class ViewZones:
    """The zones of a camera at one preset; ``ruled`` are the ids that its rules speak of."""

    preset: str
    zones: tuple[ZoneShape, ...]
    ruled: frozenset[str]


def views_of(text: str, camera: str) -> tuple[ViewZones, ...]:
    """Return the views of a camera; raise :class:`NotFound` where the configuration has no such camera."""
    return tuple(_view(view) for view in _views(yaml.safe_load(text), camera))


def with_zones(text: str, camera: str, preset: str, zones: Sequence[ZoneShape]) -> str:
    """Return the configuration with other zones in one view of a camera.

    Raises:
        NotFound: there is no such camera or view.
        Invalid: a zone is no simple polygon in [0, 1], its id is none or taken, or a rule loses its zone.

    """
    _check(zones)
    document = yaml.safe_load(text)
    view = next((one for one in _views(document, camera) if one.get("preset", FIXED) == preset), None)
    if view is None:
        msg = f"camera {camera} has no view {preset}"
        raise NotFound(msg)
    if lost := sorted(_view(view).ruled - {zone.id for zone in zones}):
        raise Invalid.of("zone_ruled", zone=lost[0])
    changed = _spliced(text, _view_node(yaml.compose(text, yaml.SafeLoader), camera, preset), zones)
    view["zones"] = [_plain(zone) for zone in zones]
    if yaml.safe_load(changed) != document:
        raise Invalid.of("zones_unwritable")
    return changed


def _check(zones: Sequence[ZoneShape]) -> None:
    if len(zones) > MAX_ZONES:
        raise Invalid.of("zones_count", count=len(zones), most=MAX_ZONES)
    seen = set()
    for zone in zones:
        if not re.fullmatch(ID_PATTERN, zone.id):
            raise Invalid.of("zone_id", zone=zone.id)
        if zone.id in seen:
            raise Invalid.of("zone_twice", zone=zone.id)
        seen.add(zone.id)
        if not 3 <= len(zone.points) <= MAX_POINTS:
            raise Invalid.of("zone_corners", zone=zone.id, count=len(zone.points), most=MAX_POINTS)
        if not all(0 <= value <= 1 for point in zone.points for value in point):
            raise Invalid.of("zone_beyond", zone=zone.id)
        polygon = Polygon(zone.points)
        if not polygon.is_valid or polygon.area == 0:
            raise Invalid.of("zone_crosses", zone=zone.id)


def _views(document: Any, camera: str) -> list[dict[str, Any]]:
    cameras = document.get("cameras") if isinstance(document, dict) else None
    for entry in cameras or ():
        if isinstance(entry, dict) and entry.get("id") == camera:
            return [view for view in entry.get("views") or () if isinstance(view, dict)]
    msg = f"the configuration has no camera {camera}"
    raise NotFound(msg)


def _view(view: dict[str, Any]) -> ViewZones:
    zones = tuple(
        ZoneShape(str(zone["id"]), tuple((float(x), float(y)) for x, y in zone["points"]))
        for zone in view.get("zones") or ()
    )
    ruled = frozenset(str(rule["zone"]) for rule in view.get("rules") or () if rule.get("zone"))
    return ViewZones(str(view.get("preset", FIXED)), zones, ruled)


def _plain(zone: ZoneShape) -> dict[str, Any]:
    return {"id": zone.id, "points": [[round(x, 4), round(y, 4)] for x, y in zone.points]}


def _view_node(root: yaml.Node | None, camera: str, preset: str) -> yaml.MappingNode:
    """Return the node of a view that is known to be there."""
    for entry in _children(_value(root, "cameras")):
        if _text(entry, "id") == camera:
            for view in _children(_value(entry, "views")):
                if isinstance(view, yaml.MappingNode) and (_text(view, "preset") or FIXED) == preset:
                    return view
    msg = f"camera {camera} has no view {preset}"
    raise NotFound(msg)


def _children(node: yaml.Node | None) -> Iterable[yaml.Node]:
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                return value  # type: ignore[no-any-return]  # PyYAML says nothing of its nodes
    return None


def _text(node: yaml.Node, key: str) -> str | None:
    value = _value(node, key)
    return value.value if isinstance(value, yaml.ScalarNode) else None


def _spliced(text: str, view: yaml.MappingNode, zones: Sequence[ZoneShape]) -> str:
    old = _value(view, "zones")
    if old is None:
        first = view.value[0][0]
        separator = ", " if view.flow_style else "\n" + " " * first.start_mark.column
        at = first.start_mark.index
        return f"{text[:at]}zones: {_written(zones, None)}{separator}{text[at:]}"
    block = isinstance(old, yaml.SequenceNode) and not old.flow_style and not view.flow_style
    indent = old.start_mark.column if block else None
    return text[: old.start_mark.index] + _written(zones, indent) + text[_end(old) :]


def _written(zones: Sequence[ZoneShape], indent: int | None) -> str:
    """Write zones in flow style, each on a line of its own where the list was a block."""
    lines = []
    for zone in map(_plain, zones):
        points = ", ".join(f"[{x:g}, {y:g}]" for x, y in zone["points"])
        lines.append(f'{{id: "{zone["id"]}", points: [{points}]}}')
    if indent is None or not lines:
        return f"[{', '.join(lines)}]"
    return ("\n" + " " * indent).join(f"- {line}" for line in lines)


def _end(node: yaml.Node) -> int:
    """Return where a node's text ends; that of a block reaches to what follows it, comments too."""
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    return int(node.end_mark.index)
