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

from alerts.console.camera_map import CameraMap
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
from alerts.messages import Freshness
from alerts.services.bundle import Services
from alerts.services.incidents import OPEN, IncidentFilter
from alerts.services.live import Subscription
from alerts.services.rights import Reach, Within
from alerts.services.views import CameraView, ChangeView, EdgeView, IncidentSummary
from alerts.states import State
from towerwatch.logs import get_logger

COALESCE_S = 0.25  # changes this close together reach a browser as one message
CAMERAS_EVERY_S = 2.0  # when a camera has changed its state
FIGURES_EVERY_S = 30.0  # lag and coverage change with every health message and are no change of state
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
        self._cameras_read = 0.0
        self._cameras_changed = False
        self._figures_read = 0.0
        self._states_changed: set[tuple[str, str]] = set()  # box and camera
        self._maps: dict[str | None, CameraMap] = {}
        self.rows: dict[int, Row] = {}
        self.spots: dict[int, Spot] = {}
        self._reach: dict[int, Reach] = {}
        self._cameras_in: dict[str | None, tuple[CameraView, ...]] = {}
        self.cameras: tuple[CameraView, ...] = ()
        self.edges: tuple[EdgeView, ...] = ()
        # markup that is the same for many browsers, until the cameras are read again
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
                        changed = self._cameras_changed or self._states_changed
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
        over = IncidentFilter(states=frozenset({State.CLOSED, State.DISMISSED}))
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
        over = [key for key, row in self.rows.items() if row.state in {State.CLOSED, State.DISMISSED}]
        for key in sorted(over)[: max(0, len(over) - 2 * RECENT)]:
            del self.rows[key]
            self.spots.pop(key, None)
            self._reach.pop(key, None)
        return places

    def _note_cameras(self, changes: list[ChangeView]) -> None:
        """Keep which cameras have another state; what else may change of boxes and cameras is rare."""
        for change in changes:
            if change.topic == "camera" and change.action in {*Freshness}:
                edge, _, camera = change.ref.partition("/")
                self._states_changed.add((edge, camera))
            elif change.topic in {"camera", "edge"}:
                self._cameras_changed = True

    async def _refresh_cameras(self) -> None:
        """Read the cameras again when it is time; many boxes report, and one look serves all."""
        now = asyncio.get_running_loop().time()
        changed = self._cameras_changed or bool(self._states_changed)
        figures = now >= self._figures_read + FIGURES_EVERY_S
        if not figures and not (changed and now >= self._cameras_read + CAMERAS_EVERY_S):
            return
        if figures or self._cameras_changed or len(self._states_changed) > PAGE_READ:
            await self._read_cameras()
        else:
            await self._read_states()
        self.map_answer.cache_clear()
        await self._tell(self._camera_listeners)

    async def _read_cameras(self) -> None:
        self._cameras_changed = False
        self._states_changed.clear()
        cameras = await run_in_threadpool(self._services.fleet.list_cameras)
        self.edges = await run_in_threadpool(self._services.fleet.list_edges)
        self._keep_cameras(cameras, await run_in_threadpool(CameraMap, cameras))
        self._figures_read = self._cameras_read

    async def _read_states(self) -> None:
        """Read the few cameras that have another state: of a whole city it is some in every look."""
        wanted = frozenset(self._states_changed)
        self._states_changed.clear()
        found = await run_in_threadpool(self._services.fleet.list_cameras, only=wanted)
        now = {(camera.edge, camera.camera): camera for camera in found}
        cameras = tuple(now.pop((camera.edge, camera.camera), camera) for camera in self.cameras)
        if now:  # cameras that were not there before
            await self._read_cameras()
            return
        self._keep_cameras(cameras, self._maps[None].with_states_of(found))

    def _keep_cameras(self, cameras: tuple[CameraView, ...], on_map: CameraMap) -> None:
        self.cameras = cameras
        self.camera_memo.clear()
        self._cameras_in, self._maps = {None: cameras}, {None: on_map}
        self._cameras_read = asyncio.get_running_loop().time()

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

    def _seen(self, within: Within) -> Iterable[Row]:
        if not within:
            return self.rows.values()
        return (row for key, row in self.rows.items() if within.covers(self._reach[key]))

    async def look(self, within: Within) -> None:
        """Find the cameras of somebody's part of the city, for :meth:`cameras_of` until the next await."""
        while within.area not in self._cameras_in:
            find, cameras = self._services.areas.cameras_in, self.cameras
            found = await run_in_threadpool(find, within.area, cameras)
            if cameras is self.cameras:  # else they were read again meanwhile
                self._cameras_in[within.area] = found

    def cameras_of(self, within: Within) -> tuple[CameraView, ...]:
        """Return the cameras that stand in somebody's part of the city; call :meth:`look` before."""
        return self._cameras_in[within.area]

    def edges_of(self, within: Within) -> tuple[EdgeView, ...]:
        """Return the boxes of those cameras; call :meth:`look` before."""
        if within.area is None:
            return self.edges
        mine = {camera.edge for camera in self.cameras_of(within)}
        return tuple(edge for edge in self.edges if edge.id in mine)

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
        if fleet and within.area not in self._maps:
            self._maps[within.area] = CameraMap(self.cameras_of(within))
        cameras = self._maps[within.area] if fleet else CameraMap(())
        spots = {key: spot for key, spot in self.spots.items() if within.covers(self._reach[key])}
        answer: dict[str, Any] = {
            "incidents": cluster_incidents(self.rows, spots, wanted, view),
            "cameras": cameras.cluster(view),
            "bounds": bounds(spots.values(), cameras.bounds),
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
