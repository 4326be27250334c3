"""A camera's ONVIF services as far as a head needs them: its presets, where it is, and its preset tour.

The client is the extra ``towerwatch[onvif]``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Strict

from towerwatch.errors import RetryableError
from towerwatch.yamlconfig import StrictModel

TIMEOUT_S = 5.0  # of one question
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
        steer: whether the head is ours: its preset tour is paused for a while where smoke may be, and a
            tour that is found paused is started.

    """

    url: Annotated[str, AfterValidator(_service_url)]
    tolerance: Annotated[float, Strict(), Field(gt=0, le=0.2)] = 0.01
    steer: Annotated[bool, Strict()] = False


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


@dataclass(frozen=True, slots=True, eq=False)
class PtzClient:
    """One head that answers. ``fault``: what a question that the camera refuses raises."""

    ptz: Any
    profile: Mapping[str, str]
    places: Mapping[str, Place]
    tolerance: float
    fault: type[Exception]

    async def look(self) -> HeadSight:
        """Ask where the head is."""
        async with asyncio.timeout(TIMEOUT_S):
            status = await self.ptz.GetStatus(self.profile)
        moving = status.MoveStatus is not None and "MOVING" in {
            str(status.MoveStatus.PanTilt), str(status.MoveStatus.Zoom),
        }  # fmt: skip
        return judge_place(_place(status.Position), self.places, self.tolerance, moving=moving)

    async def tours(self, state: str) -> list[str]:
        """Return the tokens of preset tours in a state, ``Touring`` or ``Paused``; a camera may have none."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                tours = await self.ptz.GetPresetTours(self.profile)
        except self.fault:
            return []
        return [str(one.token) for one in tours or () if str(one.Status.State) == state]

    async def operate(self, tour: str, operation: str) -> bool:
        """``Pause`` or ``Start`` a preset tour; tell whether the camera does so."""
        wanted = {**self.profile, "PresetTourToken": tour, "Operation": operation}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self.ptz.OperatePresetTour(wanted)
        except self.fault:
            return False
        return True


@contextlib.asynccontextmanager
async def connected(
    config: OnvifConfig, presets: Sequence[str], credentials: tuple[str, str]
) -> AsyncIterator[PtzClient]:
    """Yield a head that has told the places of ``presets``.

    Raises:
        RetryableError: the camera does not answer, now or in the block, or not with what is needed.

    """
    try:
        import aiohttp  # noqa: PLC0415 - an extra
        from onvif import ONVIFCamera, ONVIFError  # noqa: PLC0415
        from zeep.exceptions import Error as SoapError  # noqa: PLC0415
        from zeep.exceptions import Fault  # noqa: PLC0415
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
        yield PtzClient(ptz, profile, places, config.tolerance, Fault)
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
