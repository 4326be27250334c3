"""Boxes, cameras, the map, texts, and how central itself is."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError

from alerts import texts
from alerts.enrol import revoke
from alerts.http.auth import Ctx, SomeUser
from alerts.http.context import Context
from alerts.http.incidents import Wanted
from alerts.messages import Freshness
from alerts.metrics import render
from alerts.services.errors import NotFound
from alerts.services.views import CameraView, EdgeView, HourView, UserView

router = APIRouter(tags=["fleet"])
IdPath = Annotated[str, Path(max_length=64)]
GEOJSON = "application/geo+json"


class Placement(BaseModel):
    """Where a camera stands, WGS 84, and what people call it."""

    model_config = ConfigDict(extra="forbid")
    lat_deg: float = Field(ge=-90, le=90)
    lon_deg: float = Field(ge=-180, le=180)
    name: str | None = Field(default=None, min_length=1, max_length=128)


@router.get("/api/v1/edges")
def list_edges(context: Ctx, user: SomeUser) -> tuple[EdgeView, ...]:
    """List boxes with their health."""
    edges = context.services.fleet.list_edges()
    if user.area is None:
        return edges
    mine = {camera.edge for camera in _seen(context, user, context.services.fleet.list_cameras())}
    return tuple(edge for edge in edges if edge.id in mine)


@router.delete("/api/v1/edges/{edge}", status_code=204)
def revoke_edge(edge: IdPath, context: Ctx, user: SomeUser) -> None:
    """Refuse a box from now on: its token, what it sends, and at the broker its certificate."""
    revoke(context.database, context.config, edge, by=user.name)


@router.get("/api/v1/cameras")
def list_cameras(
    context: Ctx,
    user: SomeUser,
    edge: Annotated[str | None, Query(max_length=64)] = None,
    state: Freshness | None = None,
) -> tuple[CameraView, ...]:
    """List cameras with their health."""
    return _seen(context, user, context.services.fleet.list_cameras(edge=edge, state=state))


@router.get("/api/v1/cameras/{edge}/{camera}/coverage")
def camera_coverage(
    edge: IdPath, camera: IdPath, context: Ctx, user: SomeUser, days: Annotated[int, Query(ge=1, le=30)] = 7
) -> tuple[HourView, ...]:
    """Return how long a camera was seeing, blind, or away with its box, by hour of the last days."""
    _refuse_unseen(context, user, edge, camera)
    return context.services.fleet.coverage(edge, camera, days=days)


@router.put("/api/v1/cameras/{edge}/{camera}/place")
def place_camera(edge: IdPath, camera: IdPath, body: Placement, context: Ctx, user: SomeUser) -> CameraView:
    """Enter where a camera stands, one of your part of the city."""
    _refuse_unseen(context, user, edge, camera)
    return context.services.fleet.place_camera(
        edge, camera, lat_deg=body.lat_deg, lon_deg=body.lon_deg, name=body.name
    )


@router.get("/api/v1/map/incidents")
def map_incidents(wanted: Annotated[Wanted, Query()], context: Ctx, user: SomeUser) -> JSONResponse:
    """Return incidents that have a place as GeoJSON points, with their error ellipse as properties."""
    page = context.services.incidents.list_incidents(wanted.to_filter(user), wanted.cursor, wanted.limit)
    features = []
    for item in page.items:
        if item.place is not None:
            about = item.model_dump(mode="json", include={"id", "kind", "state", "camera", "started_at"})
            ellipse = item.place.model_dump(exclude={"lat_deg", "lon_deg"})
            features.append(_point(item.place.lon_deg, item.place.lat_deg, {**about, **ellipse}))
    return _geojson(features, {"next_cursor": page.next_cursor})


@router.get("/api/v1/map/cameras")
def map_cameras(context: Ctx, user: SomeUser) -> JSONResponse:
    """Return cameras that have a place as GeoJSON points."""
    features = [
        _point(
            camera.lon_deg,
            camera.lat_deg,
            camera.model_dump(mode="json", include={"edge", "camera", "name", "state", "reason"}),
        )
        for camera in _seen(context, user, context.services.fleet.list_cameras())
        if camera.lat_deg is not None and camera.lon_deg is not None
    ]
    return _geojson(features, {})


@router.get("/api/v1/texts")
def list_texts(_user: SomeUser) -> dict[str, dict[str, dict[str, str]]]:
    """Return the Chinese and English names of kinds, states, reasons and the like."""
    tables: dict[str, Any] = {
        "kinds": texts.KINDS,
        "states": texts.STATES,
        "actions": texts.ACTIONS,
        "dismiss_reasons": texts.DISMISS_REASONS,
        "verdicts": texts.VERDICTS,
    }
    return {
        name: {str(key): dict(zip(texts.LANGUAGES, names, strict=True)) for key, names in table.items()}
        for name, table in tables.items()
    }


@router.get("/api/v1/parts")
def list_parts(context: Ctx, _user: SomeUser) -> dict[str, dict[str, Any]]:
    """Return what each running part of central last said of itself."""
    return context.services.fleet.parts()


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(context: Ctx, _user: SomeUser) -> str:
    """Return counts for Prometheus."""
    return render(context.database)


@router.get("/healthz")
def healthz(context: Ctx, response: Response) -> dict[str, str]:
    """Say whether this process can reach its database; nothing else, to anybody."""
    try:
        context.database.ping()
    except DBAPIError:
        response.status_code = 503
        return {"status": "database away"}
    return {"status": "ok"}


def _refuse_unseen(context: Context, user: UserView, edge: str, camera: str) -> None:
    if not _seen(context, user, context.services.fleet.list_cameras(only=[(edge, camera)])):
        msg = f"no camera {camera} of box {edge} has reported yet"
        raise NotFound(msg)


def _seen(context: Context, user: UserView, cameras: tuple[CameraView, ...]) -> tuple[CameraView, ...]:
    """Return the cameras that stand in the area of whoever asks; all of them without one."""
    return context.services.areas.cameras_in(user.area, cameras)


def _point(lon_deg: float, lat_deg: float, properties: dict[str, Any]) -> dict[str, Any]:
    geometry = {"type": "Point", "coordinates": [lon_deg, lat_deg]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _geojson(features: list[dict[str, Any]], extra: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"type": "FeatureCollection", "features": features, **extra}, media_type=GEOJSON)
