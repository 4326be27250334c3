"""Where a camera's head looks, by its ONVIF PTZ status, asked again and again in a thread of its own.

The camera's own presets (``GetPresets``) say where each view is: a head near one that rests there shows
it; while it moves, or rests elsewhere, nothing is to be judged. Without an answer nobody knows, and the
timetable or the picture must say. The client is the extra ``towerwatch[onvif]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Strict

from towerwatch.errors import RetryableError
from towerwatch.logs import get_logger
from towerwatch.secrets import Secret
from towerwatch.yamlconfig import StrictModel

log = get_logger(__name__)

TIMEOUT_S = 5.0  # of one question
POLL_S = 0.5
RETRY_S = 10.0  # after one that failed
FRESH_S = 3.0  # an older answer says nothing of now
SETTLE_S = 1.0  # so long a head must have rested: the picture comes later than the status
STOP_S = 0.1  # how soon a pause notices that it is to end

Place = tuple[float, float, float]
"""Pan, tilt and zoom in the generic ONVIF spaces: [-1, 1], [-1, 1], [0, 1]."""


def _service_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "http" or not parts.hostname or parts.username is not None:
        msg = f"{value!r}: write http://host or http://host:port; user and password stand beside the camera"
        raise ValueError(msg)
    return value


class OnvifConfig(StrictModel):
    """A camera's ONVIF device service.

    Attributes:
        url: ``http://host[:port]``; credentials are the camera's own.
        tolerance: a head so near to a preset, in each of pan, tilt and zoom, shows it.

    """

    url: Annotated[str, AfterValidator(_service_url)]
    tolerance: Annotated[float, Strict(), Field(gt=0, le=0.2)] = 0.01


@dataclass(frozen=True, slots=True)
class HeadSight:
    """One answer: the preset at which the head rests, None while it moves or rests elsewhere."""

    preset: str | None
    place: Place
    moving: bool


def judge_place(place: Place, presets: Mapping[str, Place], tolerance: float, *, moving: bool) -> HeadSight:
    """Say what a head at a place shows."""
    near = {
        name: max(abs(a - b) for a, b in zip(place, known, strict=True)) for name, known in presets.items()
    }
    best = min(near, key=lambda name: near[name], default=None)
    found = best if best is not None and near[best] <= tolerance and not moving else None
    return HeadSight(found, place, moving)


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
        return ""

    def ask_once(self) -> HeadSight:
        """Ask for the presets and once where the head is.

        Raises:
            RetryableError: there is no answer, or none of use.

        """
        return asyncio.run(self._first())

    def _answers(self) -> AsyncGenerator[HeadSight, None]:
        return _answers(self._config, self._presets, self._credentials)

    async def _first(self) -> HeadSight:
        async with contextlib.aclosing(self._answers()) as answers:
            return await anext(answers)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                async with contextlib.aclosing(self._answers()) as answers:
                    while not self._stopping.is_set():
                        self._take(await anext(answers))
                        await self._pause(POLL_S)
            except RetryableError as error:
                if str(error) != self._trouble:
                    log.warning("head cannot be asked", url=self._config.url, why=str(error))
                self._trouble = str(error)
                await self._pause(RETRY_S)

    def _take(self, sight: HeadSight) -> None:
        now_s = time.monotonic()
        last = self._sight
        same = last is not None and last[2].preset == sight.preset and now_s - last[0] <= FRESH_S
        self._sight = (now_s, last[1] if same and last is not None else now_s, sight)

    async def _pause(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while not self._stopping.is_set() and time.monotonic() < end_s:  # noqa: ASYNC110 - set by a thread
            await asyncio.sleep(min(STOP_S, seconds))


async def _answers(
    config: OnvifConfig, presets: Sequence[str], credentials: tuple[str, str]
) -> AsyncGenerator[HeadSight, None]:
    """Yield where a head looks, as often as asked; RetryableError where the camera does not answer."""
    try:
        import aiohttp  # noqa: PLC0415 - an extra
        from onvif import ONVIFCamera, ONVIFError  # noqa: PLC0415
        from zeep.exceptions import Error as SoapError  # noqa: PLC0415
    except ImportError:
        raise RetryableError("ONVIF needs an extra: pip install 'towerwatch[onvif]'") from None
    parts = urlsplit(config.url)
    camera = ONVIFCamera(parts.hostname, parts.port or 80, *credentials)
    try:
        async with asyncio.timeout(4 * TIMEOUT_S):
            await camera.update_xaddrs()
            media, ptz = await camera.create_media_service(), await camera.create_ptz_service()
            profile = {"ProfileToken": (await media.GetProfiles())[0].token}
            places = _places(await ptz.GetPresets(profile), presets)
        while True:
            async with asyncio.timeout(TIMEOUT_S):
                status = await ptz.GetStatus(profile)
            moving = status.MoveStatus is not None and "MOVING" in {
                str(status.MoveStatus.PanTilt), str(status.MoveStatus.Zoom),
            }  # fmt: skip
            yield judge_place(_place(status.Position), places, config.tolerance, moving=moving)
    except (ONVIFError, SoapError, aiohttp.ClientError, OSError, TimeoutError) as error:
        raise RetryableError(f"ONVIF: {error or type(error).__name__}") from None  # noqa: EM102 - the camera's own words
    except (AttributeError, IndexError, TypeError) as error:
        raise RetryableError(f"ONVIF: an answer without what is needed ({error})") from None  # noqa: EM102
    finally:
        await camera.close()


def _place(position: Any) -> Place:
    return (float(position.PanTilt.x), float(position.PanTilt.y), float(position.Zoom.x))


def _places(found: Sequence[Any], wanted: Sequence[str]) -> dict[str, Place]:
    places = {
        str(one.Name): _place(one.PTZPosition) for one in found if one.Name in wanted and one.PTZPosition
    }
    missing = [name for name in wanted if name not in places]
    if missing:
        msg = f"ONVIF: the camera has no preset {', '.join(missing)} with a position"
        raise RetryableError(msg)
    return places
