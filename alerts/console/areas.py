"""Areas and rosters: the city on a map, who is in charge of a place now, and new ones from files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi.responses import Response
from nicegui import Client, ui
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from alerts.areas.geojson import LEVELS, MAX_BYTES, AreaShape, Level, read_areas
from alerts.areas.roster import ShiftRow, read_roster
from alerts.areas.service import DutyView, InCharge
from alerts.console.context import Visitor
from alerts.console.dialogs import Dialogs
from alerts.console.elements import CityMap, Node
from alerts.console.imports import Import, import_dialog
from alerts.console.shell import attributes, el, frame, html
from alerts.console.tables import Cell, plain, table_html
from alerts.console.texts_city import WEEKDAYS
from alerts.services.rights import Right
from alerts.sheets import MAX_BYTES as MAX_TABLE_BYTES
from towerwatch.timebase import utc_now

_SHIFTS_SHOWN = 500


class AreasPage(Dialogs):
    """The page of areas and rosters."""

    right = Right.ADMIN

    def __init__(
        self, visitor: Visitor, client: Client, shapes: Sequence[AreaShape], shifts: Sequence[DutyView]
    ) -> None:
        """Keep what is shown; :meth:`build` makes the page."""
        super().__init__(visitor, client)
        self._shapes = {shape.id: shape for shape in shapes}
        self._shifts = shifts
        self._map: CityMap | None = None
        self._duty: Node | None = None

    async def refresh(self) -> None:
        """Show what counts now."""
        await self.visitor.console.board.load()  # incidents lie in other areas now
        with self._client:
            ui.navigate.to(f"{self.visitor.base}/areas")

    def build(self) -> None:
        """Make the page."""
        words = self._words
        with frame(self.visitor, "areas", words("areas")), el("main", "tw-body"):
            self._bar()
            if self._shapes:
                self._city()
            else:
                el("div", "tw-panel tw-empty", words("no_areas"))
            self._roster()

    def _bar(self) -> None:
        words = self._words
        counts = []
        for level, names in LEVELS.items():
            count = sum(shape.level is level for shape in self._shapes.values())
            if count:
                counts.append(f"{names[words.language == 'en']} {count}")
        with el("div", "tw-bar"):
            el("span", "tw-dim", " · ".join(counts))
            if Right.ADMIN in self.visitor.user.rights:
                for name, call in (("areas", self._import_areas), ("roster", self._import_roster)):
                    button = attributes(el("button", "tw-btn", words(f"import_{name}")), type="button")
                    attributes(button, data_do=f"import_{name}")
                    button.on("click", call)

    def _city(self) -> None:
        words, names = self._words, self.visitor.names
        with el("div", "tw-areas"):
            self._map = CityMap(
                {"language": words.language},
                base=self.visitor.base,
                tiles=self.visitor.console.settings.tile_url,
                areas=list(Level),
                pick=True,
            )
            self._map.on("pick", lambda event: self._pick(event.args))
            with el("section", "tw-panel"):
                el("h2", text=words("in_charge"))
                with el("div", "tw-duty"):
                    label = words("choose_area")
                    choice = attributes(el("select", "tw-input"), aria_label=label, name="area")
                    choice.on("change", self._choose, js_handler="(e) => emit(e.target.value)")
                    with choice:
                        attributes(el("option", text=label), value="")
                        for shape in self._shapes.values():
                            level = LEVELS[shape.level][words.language == "en"]
                            option = el("option", text=f"{names.area(shape.id)} · {level}")
                            attributes(option, value=shape.id)
                    self._duty = attributes(el("div"), role="status")
                    with self._duty:
                        el("p", "tw-dim", words("pick_hint"))

    async def _choose(self, event: Any) -> None:
        shape = self._shapes.get(str(event.args))
        if shape is None:
            return
        point = shape.polygon.representative_point()
        if self._map is not None:
            self._map.run_method("show", point.y, point.x)
        await self._pick({"lat": point.y, "lon": point.x})

    async def _pick(self, place: dict[str, Any]) -> None:
        areas = self.visitor.console.services.areas
        found = await run_in_threadpool(areas.everybody, float(place["lat"]), float(place["lon"]))
        if self._duty is None or self._client.is_deleted:
            return
        self._duty.clear()
        with self._duty:
            self._who(found)

    def _who(self, found: InCharge) -> None:
        words, names = self._words, self.visitor.names
        if not found.areas:
            el("p", "tw-dim", words("nowhere"))
            return
        el("p", text=" \u203a ".join(names.area(area.id) for area in reversed(found.areas)))
        if not found.on_duty:
            el("p", "tw-warn", words("nobody_on_duty"))
        with el("ul"):
            for duty in found.on_duty:
                with el("li"):
                    department = words("grid_worker_of")
                    if duty.department is not None:
                        department = names.department(duty.department)
                    el("span", text=department)
                    el("b", text=duty.person)
                    el("span", text=duty.contact)
                    el("span", "tw-dim", f"{names.area(duty.area)} · {self._hours(duty)}")

    def _hours(self, duty: DutyView) -> str:
        words = self._words
        days = duty.days.split(",") if duty.days else []
        names = [words.name(WEEKDAYS, day) for day in days]
        row = [*WEEKDAYS]
        if len(days) > 2 and days == row[row.index(days[0]) : row.index(days[-1]) + 1]:
            text = words("days_from_to", first=names[0], last=names[-1])
        else:
            text = ("、" if words.language == "zh" else ", ").join(names)
        return f"{text or words('every_day')} {duty.hours or words('all_day')}"

    def _roster(self) -> None:
        words, now = self._words, utc_now().astimezone(self.visitor.console.services.areas.zone)
        keys = ("area", "department", "person", "contact", "name", "weekdays", "dates", "on_duty_now")
        rows = [self._row(duty, now) for duty in self._shifts[:_SHIFTS_SHOWN]]
        with el("section", "tw-panel"):
            with el("div", "tw-panel-head"):
                el("h2", text=words("roster"))
                if len(self._shifts) > _SHIFTS_SHOWN:
                    el("span", "tw-dim", words("shown_of", shown=_SHIFTS_SHOWN, count=len(self._shifts)))
            html(table_html([(words(key), "") for key in keys], rows, words("no_roster")), "div")

    def _row(self, duty: DutyView, now: datetime) -> list[Cell]:
        words, names = self._words, self.visitor.names
        on = ShiftRow(**duty.model_dump()).covers(now)
        department = names.department(duty.department) if duty.department else words("grid_worker_of")
        dates = (
            f"{duty.first_day or ''} \u2013 {duty.last_day or ''}" if duty.first_day or duty.last_day else ""
        )
        return [
            plain(names.area(duty.area)),
            plain(department),
            plain(duty.person),
            plain(duty.contact),
            plain(duty.user or ""),
            plain(self._hours(duty)),
            plain(dates, "tw-when"),
            ('<span class="tw-dot tw-dot-fresh"></span>' if on else "", ""),
        ]

    def _import_areas(self) -> None:
        service, words = self.visitor.console.services.areas, self._words
        import_dialog(
            self,
            Import(
                words("import_areas"),
                words("import_areas_hint"),
                ".geojson,.json",
                MAX_BYTES,
                read_areas,
                lambda shapes: words("count_areas", count=len(shapes)),
                service.import_areas,
            ),
        )

    def _import_roster(self) -> None:
        service, words = self.visitor.console.services.areas, self._words

        def read(path: Path) -> tuple[ShiftRow, ...]:
            return read_roster(path, {area.id for area in service.list_areas()})

        import_dialog(
            self,
            Import(
                words("import_roster"),
                words("import_roster_hint"),
                ".csv,.xlsx",
                MAX_TABLE_BYTES,
                read,
                lambda rows: words("count_shifts", count=len(rows)),
                service.import_roster,
            ),
        )


async def areas_page(visitor: Visitor, client: Client, _request: Request) -> Response | None:
    """``/areas``: the city's areas and rosters."""
    service = visitor.console.services.areas
    shapes, shifts = await run_in_threadpool(lambda: (service.shapes(), service.list_shifts()))
    AreasPage(visitor, client, shapes, shifts).build()
    return None
