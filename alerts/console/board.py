"""What all browsers of this process share: the incidents and cameras in memory, read once a change.

A browser joins with its filter; browsers with the same filter form one list, whose difference is worked
out and encoded once and then handed to each. Everything here runs on the event loop; only the services
are called in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache
from typing import Any, Protocol

from nicegui import json
from starlette.concurrency import run_in_threadpool

from alerts.console.fleet import CameraLine, Fleet, Indices
from alerts.console.neighbours import Neighbour, neighbours
from alerts.console.rows import (
    QueueFilter,
    Row,
    Selection,
    Spot,
    Viewport,
    bounds,
    cluster_incidents,
    difference,
    row_of,
    select,
    spot_of,
)
from alerts.services.bundle import Services
from alerts.services.incidents import OPEN, IncidentFilter
from alerts.services.live import Subscription
from alerts.services.rights import Reach, Within
from alerts.services.views import ChangeView, IncidentSummary
from alerts.states import OVER_STATES
from towerwatch.logs import get_logger

COALESCE_S = 0.25  # changes this close together reach a browser as one message
CAMERAS_EVERY_S = 2.0  # when a camera has changed its state
FIGURES_EVERY_S = 30.0  # how often pages read lag and coverage, which change with every health message
RETRY_S = 2.0
PAGE_READ = 500
RECENT = 500  # how many incidents that are over stay in memory

log = get_logger(__name__)
Listener = Callable[[], Awaitable[None]]


class Member(Protocol):
    """A browser that shows a list."""

    def send(self, payload: str, *, places: bool) -> None:
        """Hand over an encoded difference; ``places`` when the map has changed too."""
        ...


@dataclass(slots=True)
class _List:
    shown: Selection
    members: dict[Member, None] = field(default_factory=dict)


class Board:
    """The shared state of the wall; :meth:`run` keeps it fresh until it is cancelled."""

    def __init__(self, services: Services, zone: tzinfo | None = None) -> None:
        """Keep the services; nothing is read yet."""
        self._services = services
        self._zone = zone
        self._lists: dict[QueueFilter, _List] = {}
        self._watchers: dict[int, dict[Listener, None]] = {}
        self._camera_listeners: dict[Listener, None] = {}
        self._cameras_told = 0.0
        self._cameras_changed: set[tuple[str, str]] = set()  # box and camera
        self._boxes_changed: set[str] = set()
        self.rows: dict[int, Row] = {}
        self.spots: dict[int, Spot] = {}
        self._reach: dict[int, Reach] = {}
        self.fleet = Fleet()
        self.cameras_read = 0  # how often what maps show of cameras was read anew
        self._among: dict[str | None, Indices | None] = {None: None}  # cameras by the area they stand in
        # markup that is the same for many browsers, until a camera changes
        self.camera_memo: dict[tuple[str | None, ...], str] = {}
        self.ready = asyncio.Event()
        # one answer for all browsers that look at the same part of the map between two changes
        self.map_answer = lru_cache(maxsize=256)(self._map_answer)

    async def run(self) -> None:
        """Follow the changes; whatever goes wrong with the database, read everything again."""
        while True:
            try:
                with self._services.live.subscribe() as changes:
                    await self.load()
                    while True:
                        changed = self._cameras_changed or self._boxes_changed
                        wait_s = CAMERAS_EVERY_S if changed else FIGURES_EVERY_S
                        await self.apply(await _batch(changes, wait_s))
            except Exception:  # the supervisor of the live view: a lost database must not end it
                log.exception("live view interrupted; reading everything again")
                await asyncio.sleep(RETRY_S)

    async def load(self) -> None:
        """Read all open incidents, the newest others, and the cameras."""
        incidents = await run_in_threadpool(self._read_all)
        self.rows = {}
        self.spots = {}
        self._reach = {}
        await self._read_reach([incident.id for incident in incidents])
        self._take(incidents)
        await self._read_cameras()
        self.ready.set()
        self._publish()

    def _read_all(self) -> list[IncidentSummary]:
        found: list[IncidentSummary] = []
        cursor: str | None = None
        while True:
            page = self._services.incidents.list_incidents(OPEN, cursor, PAGE_READ)
            found.extend(page.items)
            cursor = page.next_cursor
            if cursor is None:
                break
        over = IncidentFilter(states=OVER_STATES)
        found.extend(self._services.incidents.list_incidents(over, None, RECENT).items)
        return found

    async def apply(self, changes: list[ChangeView]) -> None:
        """Read again what changed, and tell whoever shows it."""
        if any(change.topic == "resync" for change in changes):
            await self.load()
            for key in list(self._watchers):
                await self._tell(self._watchers.get(key, {}))
            return
        touched = {int(change.ref) for change in changes if change.topic == "incident"}
        if touched:
            await self._read_incidents(touched)
        self._note_cameras(changes)
        await self._refresh_cameras()
        for key in touched:
            await self._tell(self._watchers.get(key, {}))

    async def _read_incidents(self, touched: set[int]) -> None:
        keys, places = sorted(touched), False
        for start in range(0, len(keys), PAGE_READ):
            wanted = IncidentFilter(ids=frozenset(keys[start : start + PAGE_READ]))
            page = await run_in_threadpool(self._services.incidents.list_incidents, wanted, None, PAGE_READ)
            await self._read_reach([incident.id for incident in page.items])
            places = self._take(page.items) or places
        self._publish(places=places)

    async def _read_reach(self, ids: list[int]) -> None:
        for start in range(0, len(ids), PAGE_READ):
            piece = ids[start : start + PAGE_READ]
            self._reach |= await run_in_threadpool(self._services.incidents.reach, piece)

    def _take(self, incidents: list[IncidentSummary] | tuple[IncidentSummary, ...]) -> bool:
        """Keep incidents; say whether the map is another one now."""
        places = False
        for incident in incidents:
            old, spot = self.rows.get(incident.id), spot_of(incident)
            self.rows[incident.id] = row_of(incident, self._zone)
            # most changes are updates of what is known, which no map has to ask again for
            places |= old is None or old.state != incident.state or spot != self.spots.get(incident.id)
            if spot is None:
                self.spots.pop(incident.id, None)
            else:
                self.spots[incident.id] = spot
        over = [key for key, row in self.rows.items() if row.state in OVER_STATES]
        for key in sorted(over)[: max(0, len(over) - 2 * RECENT)]:
            del self.rows[key]
            self.spots.pop(key, None)
            self._reach.pop(key, None)
        return places

    def _note_cameras(self, changes: list[ChangeView]) -> None:
        """Keep which cameras and boxes are no longer as they were."""
        for change in changes:
            if change.topic == "camera":
                edge, _, camera = change.ref.partition("/")
                self._cameras_changed.add((edge, camera))
            elif change.topic == "edge":
                self._boxes_changed.add(change.ref)

    async def _refresh_cameras(self) -> None:
        """Read what changed of the cameras when it is time; many boxes report, and one look serves all."""
        since_s = asyncio.get_running_loop().time() - self._cameras_told
        changed = bool(self._cameras_changed or self._boxes_changed)
        if since_s < (CAMERAS_EVERY_S if changed else FIGURES_EVERY_S):
            return
        if changed:
            await self._read_changed()
        self._cameras_told = asyncio.get_running_loop().time()
        await self._tell(self._camera_listeners)

    async def _read_cameras(self) -> None:
        """Read all cameras: when the console starts, and when there are new ones."""
        self._cameras_changed.clear()
        self._boxes_changed.clear()
        fleet = await run_in_threadpool(self._read_fleet)
        self.fleet, self._among = fleet, {None: None}
        self._cameras_anew()
        self._cameras_told = asyncio.get_running_loop().time()

    def _read_fleet(self) -> Fleet:
        fleet = self._services.fleet
        return Fleet(fleet.camera_states(), fleet.boxes_away())

    async def _read_changed(self) -> None:
        """Read the few cameras and boxes that changed: of a whole city it is some in every look."""
        keys, boxes = frozenset(self._cameras_changed), frozenset(self._boxes_changed)
        if len(keys) + len(boxes) > PAGE_READ:
            await self._read_cameras()
            return
        self._cameras_changed.clear()
        self._boxes_changed.clear()
        service = self._services.fleet
        found = await run_in_threadpool(lambda: list(service.camera_states(keys)) if keys else [])
        away = await run_in_threadpool(service.boxes_away, boxes) if boxes else frozenset()
        if not self.fleet.update(found):
            await self._read_cameras()
            return
        self.fleet.set_away(boxes, away)
        self._among = {None: None}  # one of them may stand elsewhere now
        self._cameras_anew()

    def _cameras_anew(self) -> None:
        """Forget what was made of the cameras as they were."""
        self.cameras_read += 1
        self.camera_memo.clear()
        self.map_answer.cache_clear()

    def _publish(self, *, places: bool = True) -> None:
        if places:
            self.map_answer.cache_clear()
        for wanted, group in self._lists.items():
            shown = select(self._seen(wanted.within), wanted)
            delta = difference(group.shown, shown)
            group.shown = shown
            if delta is not None:
                payload = json.dumps(delta)
                for member in tuple(group.members):
                    member.send(payload, places=places)

    async def _tell(self, listeners: dict[Listener, None]) -> None:
        for listener in tuple(listeners):
            try:
                await listener()
            except Exception:  # one page's trouble must not stop the others
                log.exception("a page could not be brought up to date")

    def join(self, member: Member, wanted: QueueFilter) -> Selection:
        """Put a browser on a list, off any other, and return what the list shows now."""
        self.leave(member)
        group = self._lists.get(wanted)
        if group is None:
            group = self._lists[wanted] = _List(select(self._seen(wanted.within), wanted))
        group.members[member] = None
        return group.shown

    def near(self, incident_id: int, lat: float, lon: float, within: Within) -> list[Neighbour]:
        """Return the open incidents around one that somebody sees."""
        return neighbours(incident_id, lat, lon, self._seen(within), self.spots)

    def _seen(self, within: Within) -> Iterable[Row]:
        if not within:
            return self.rows.values()
        return (row for key, row in self.rows.items() if within.covers(self._reach[key]))

    async def look(self, within: Within) -> None:
        """Find the cameras of somebody's part of the city, for :meth:`among` until the next await."""
        area = within.area
        while area is not None and area not in self._among:
            inside, fleet = self._services.areas.inside, self.fleet
            found = await run_in_threadpool(inside, area, fleet.lat.copy(), fleet.lon.copy())
            if fleet is self.fleet:  # else they were read again meanwhile
                self._among[area] = found

    def among(self, within: Within) -> Indices | None:
        """Return the cameras that stand in somebody's part of the city; call :meth:`look` before."""
        return self._among[within.area]

    def camera(self, within: Within, edge: str, camera: str) -> CameraLine | None:
        """Return one of those cameras, None if there is none such; call :meth:`look` before."""
        return self.fleet.find(edge, camera, self.among(within))

    def leave(self, member: Member) -> None:
        """Take a browser off its list; a list without browsers is forgotten."""
        for wanted, group in list(self._lists.items()):
            group.members.pop(member, None)
            if not group.members:
                del self._lists[wanted]

    def watch(self, incident_id: int, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` whenever an incident changes; return what ends that."""
        self._watchers.setdefault(incident_id, {})[listener] = None

        def end() -> None:
            listeners = self._watchers.get(incident_id, {})
            listeners.pop(listener, None)
            if not listeners:
                self._watchers.pop(incident_id, None)

        return end

    def watch_cameras(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` when cameras or boxes have reported; return what ends that."""
        self._camera_listeners[listener] = None

        def end() -> None:
            self._camera_listeners.pop(listener, None)

        return end

    def _map_answer(self, wanted: QueueFilter, view: Viewport, fleet: bool) -> bytes:  # noqa: FBT001 - the cache's key
        within = wanted.within
        among = self.among(within)
        spots = self.spots
        if within:
            spots = {key: spot for key, spot in spots.items() if within.covers(self._reach[key])}
        answer: dict[str, Any] = {
            "incidents": cluster_incidents(self.rows, spots, wanted, view),
            "cameras": self.fleet.cluster(view, among) if fleet else [],
            "bounds": bounds(spots.values(), self.fleet.bounds(among) if fleet else None),
        }
        return json.dumps(answer).encode()


async def _batch(changes: Subscription, wait_s: float) -> list[ChangeView]:
    """Wait a while for a change, and for those that follow at once; perhaps there is none."""
    batch: list[ChangeView] = []
    try:
        async with asyncio.timeout(wait_s):
            batch.append(await anext(changes))
        async with asyncio.timeout(COALESCE_S):
            while True:
                batch.append(await anext(changes))
    except TimeoutError:
        return batch
