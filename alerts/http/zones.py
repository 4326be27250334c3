"""Zones of cameras: read them, and have a box try others as the next version of its configuration."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from alerts.http.auth import Ctx, SomeUser
from alerts.http.context import Context
from alerts.http.uploads import received
from alerts.services.zones import CameraZones, SendState, ZoneService
from alerts.topics import ID_PATTERN
from alerts.zones import MAX_POINTS, MAX_ZONES, ZoneShape

router = APIRouter(prefix="/api/v1", tags=["zones"])
MAX_CONFIG_BYTES = 1 << 20

IdPath = Annotated[str, Path(pattern=ID_PATTERN)]
CommandPath = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class DrawnZone(BaseModel):
    """One zone: corners in [0, 1] of the frame, in order around it."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(pattern=ID_PATTERN)
    points: list[tuple[Fraction, Fraction]] = Field(min_length=3, max_length=MAX_POINTS)


class DrawnView(BaseModel):
    """All zones of one view; ``version`` is the SHA-256 of the configuration that they were drawn over."""

    model_config = ConfigDict(extra="forbid")
    version: str = Field(pattern="^[0-9a-f]{64}$")
    preset: str = Field(default="fixed", pattern=ID_PATTERN)
    zones: list[DrawnZone] = Field(max_length=MAX_ZONES)


class Sent(BaseModel):
    """The command that asks the box; ``GET /api/v1/commands/{command_id}`` says what came of it."""

    command: str


def zones_of(context: Context) -> ZoneService:
    """Return the service over this side's database and artifacts."""
    return ZoneService(context.database, context.artifacts)


@router.get("/cameras/{edge}/{camera}/zones")
def get_zones(edge: IdPath, camera: IdPath, context: Ctx, _user: SomeUser) -> CameraZones:
    """Return a camera's zones, 404 where central does not hold the configuration that its box runs."""
    return zones_of(context).of_camera(edge, camera)


@router.put("/cameras/{edge}/{camera}/zones", status_code=202)
def put_zones(edge: IdPath, camera: IdPath, body: DrawnView, context: Ctx, user: SomeUser) -> Sent:
    """Have the box try other zones in one view; what its workers do not come up with is taken back there."""
    drawn = [ZoneShape(zone.id, tuple(zone.points)) for zone in body.zones]
    return Sent(
        command=zones_of(context).send(edge, camera, body.preset, drawn, version=body.version, user=user.name)
    )


@router.put("/edges/{edge}/config", status_code=204)
async def put_config(edge: IdPath, request: Request, context: Ctx, user: SomeUser) -> None:
    """Take in the configuration that a box runs, as the body; 422 if it is another one."""
    async with received(request, "edge.yaml", max_bytes=MAX_CONFIG_BYTES) as path:
        await run_in_threadpool(zones_of(context).keep_config, edge, path.read_bytes(), user.name)


@router.get("/commands/{command_id}")
def get_command(command_id: CommandPath, context: Ctx, _user: SomeUser) -> SendState:
    """Say what came of a command; ``ok`` is null while the box has not answered."""
    return zones_of(context).state(command_id)
