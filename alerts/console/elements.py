"""The console's own elements: each a small Vue component beside this file, all from our own server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nicegui
from nicegui.element import Element

WEB = Path(__file__).parent / "web"
_LEAFLET = Path(nicegui.__file__).parent / "elements" / "leaflet" / "dist"
Texts = dict[str, Any]


class Node(Element):
    """A plain HTML element, perhaps with text; Vue shows it as text, never as markup."""

    def __init__(self, tag: str, text: str = "") -> None:
        """Make ``<tag>text</tag>``."""
        super().__init__(tag)
        self.text = text

    @property
    def text(self) -> str:
        """The text before the children."""
        return self._text or ""

    @text.setter
    def text(self, text: str) -> None:
        if text != self.text:
            self._text = text or None
            self.update()


class Queue(Element, component=WEB / "queue.js"):
    """The live list; rows come once as ``initial`` and then as differences by ``window.tw.queue.apply``."""

    def __init__(self, initial: dict[str, Any], texts: Texts, *, base: str, now_ms: int) -> None:
        """Show ``initial`` (rows, total, sort)."""
        super().__init__()
        self._props.update({"initial": initial, "texts": texts, "base": base, "now": now_ms})

    def replace(self, state: dict[str, Any]) -> None:
        """Show another list."""
        self.run_method("replace", state)


class CityMap(Element, component=WEB / "city_map.js", esm={"nicegui-leaflet": str(_LEAFLET)}):
    """Leaflet on a plain ground, or on tiles if an address is configured.

    Without ``fixed`` it asks ``/console/map`` for what is in view; with it, it shows one spot.
    """

    def __init__(
        self,
        texts: Texts,
        *,
        base: str,
        tiles: str | None = None,
        attribution: str = "",
        fixed: dict[str, Any] | None = None,
        query: str = "",
        start: tuple[float, float, int] | None = None,
        areas: Sequence[str] = (),
        pick: bool = False,
    ) -> None:
        """Show the city, or one spot; ``start`` is (latitude, longitude, zoom), ``areas`` levels to outline.

        With ``pick`` it shows areas alone, and emits ``pick`` with the place that somebody clicks at.
        """
        super().__init__()
        self.add_resource(_LEAFLET)
        self._props.update({"texts": texts, "base": base, "attribution": attribution, "query": query})
        if tiles:
            self._props["tiles"] = tiles
        if start:
            self._props["start"] = {"center": start[:2], "zoom": start[2]}
        if fixed:
            self._props["fixed"] = fixed
        if areas:
            self._props["areas"] = list(areas)
        if pick:
            self._props["pick"] = True


class CameraPicture(Element, component=WEB / "camera_view.js"):
    """A camera's live picture with its zones over it; emits ``draw`` with all zones when they change."""

    def __init__(
        self, texts: Texts, *, url: str, zones: list[dict[str, Any]], ruled: list[str], editable: bool
    ) -> None:
        """Ask ``url`` for pictures; ``ruled`` are the ids of zones that may neither go nor be renamed."""
        super().__init__()
        self._props.update({"texts": texts, "url": url, "initial": zones, "ruled": ruled})
        self._props["editable"] = editable


class EvidencePane(Element, component=WEB / "evidence.js"):
    """Pictures side by side, clip, boxes and zones to toggle; emits ``judge`` for a box."""

    def __init__(self, shown: dict[str, Any], texts: Texts, *, base: str) -> None:
        """Show the evidence of one alert."""
        super().__init__()
        self._props.update({"initial": shown, "texts": texts, "base": base})

    def show(self, shown: dict[str, Any]) -> None:
        """Show other evidence, or the same with new verdicts; toggles and zoom stay as they are."""
        self._props["initial"] = shown  # for a browser that connects again
        self.run_method("set", shown)
