"""Where a camera's head looks, by its ONVIF PTZ status, asked again and again in a thread of its own.

The camera's own presets (``GetPresets``) say where each view is: a head near one that rests there shows
it; while it moves, or rests elsewhere, nothing is to be judged. Without an answer nobody knows, and the
timetable or the picture must say. A head that is ours (``steer``) is held where it is by pausing its
preset tour (``OperatePresetTour``), and goes on in time, also after its box or the line has failed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from edge.onvif_client import HeadSight, OnvifConfig, PtzClient, connected
from towerwatch.errors import RetryableError
from towerwatch.logs import get_logger
from towerwatch.secrets import Secret

log = get_logger(__name__)

POLL_S = 0.5
RETRY_S = 10.0  # after one that failed
FRESH_S = 3.0  # an older answer says nothing of now
SETTLE_S = 1.0  # so long a head must have rested: the picture comes later than the status
STOP_S = 0.1  # how soon a pause notices that it is to end
NEVER_S = float("-inf")


class OnvifHead:
    """Asks one camera; ``presets`` are the names of the views, as the camera calls its own presets."""

    def __init__(
        self, config: OnvifConfig, presets: Sequence[str], username: str | None, password: Secret | None
    ) -> None:
        """Store what is needed."""
        self._config, self._presets = config, tuple(presets)
        self._credentials = (username or "", password.reveal() if password else "")
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._sight: tuple[float, float, HeadSight] | None = None  # answered at, the same since, what
        self._trouble = "ONVIF has not answered yet"
        self._hold_until_s = NEVER_S
        self._standing: list[str] = []  # tours that were paused, and are to be started
        self._refuses = False  # to be held this time

    def start(self) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="onvif", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End; tell whether the thread has ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    def sight(self, now_s: float) -> HeadSight | None:
        """Return where the head looks at monotonic seconds; None where no answer is fresh enough.

        A head that has only just come to rest is said to move still.
        """
        if self._sight is None or now_s - self._sight[0] > FRESH_S:
            return None
        _, since_s, sight = self._sight
        settled = now_s - since_s >= SETTLE_S
        return sight if settled or sight.preset is None else HeadSight(None, sight.place, moving=True)

    def note(self, now_s: float) -> str:
        """Return a sentence for the box's health; empty while all is well."""
        sight = self.sight(now_s)
        if sight is None:
            return f"{self._trouble}; the view is told without it"
        if sight.preset is None and not sight.moving:
            pan, tilt, zoom = sight.place
            return f"head rests at none of the presets (pan {pan:.3f}, tilt {tilt:.3f}, zoom {zoom:.3f})"
        if self._standing and now_s >= self._hold_until_s + FRESH_S:
            return "head stands: its preset tour does not start again"
        return ""

    def hold(self, until_s: float | None) -> None:
        """Have the head stay where it is until monotonic seconds; None lets it go on."""
        self._hold_until_s = NEVER_S if until_s is None else until_s

    def ask_once(self) -> HeadSight:
        """Ask for the presets and once where the head is.

        Raises:
            RetryableError: there is no answer, or none of use.

        """
        return asyncio.run(self._first())

    async def _first(self) -> HeadSight:
        async with self._connected() as head:
            return await head.look()

    def _connected(self) -> AbstractAsyncContextManager[PtzClient]:
        return connected(self._config, self._presets, self._credentials)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                async with self._connected() as head:
                    await self._follow(head)
            except RetryableError as error:
                if str(error) != self._trouble:
                    log.warning("head cannot be asked", url=self._config.url, why=str(error))
                self._trouble = str(error)
                await self._pause(RETRY_S)

    async def _follow(self, head: PtzClient) -> None:
        """Ask where the head looks, and hold it or let it go on, until the end."""
        if self._config.steer:  # a box that fell, or a line, may have left it standing
            self._standing = list(dict.fromkeys([*self._standing, *await head.tours("Paused")]))
        while not self._stopping.is_set():
            self._take(await head.look())
            await self._steer(head)
            await self._pause(POLL_S)
        self._hold_until_s = NEVER_S
        await self._steer(head)

    async def _steer(self, head: PtzClient) -> None:
        """Pause the tour that runs while the head is to stay; start what was paused once it may go on."""
        if time.monotonic() >= self._hold_until_s:
            self._standing = [tour for tour in self._standing if not await head.operate(tour, "Start")]
            self._refuses = False
        elif not self._standing and not self._refuses:
            running = await head.tours("Touring")
            self._standing = [tour for tour in running if await head.operate(tour, "Pause")]
            self._refuses = not self._standing
            if self._refuses:
                log.warning("head cannot be held: no preset tour runs that it pauses", url=self._config.url)

    def _take(self, sight: HeadSight) -> None:
        now_s = time.monotonic()
        last = self._sight
        same = last is not None and last[2].preset == sight.preset and now_s - last[0] <= FRESH_S
        self._sight = (now_s, last[1] if same and last is not None else now_s, sight)

    async def _pause(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while not self._stopping.is_set() and time.monotonic() < end_s:  # noqa: ASYNC110 - set by a thread
            await asyncio.sleep(min(STOP_S, seconds))
