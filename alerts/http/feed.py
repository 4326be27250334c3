"""Incidents as GeoJSON for the city's own map: what has changed since a cursor, oldest change first."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from alerts import texts
from alerts.http.auth import Ctx, SomeUser
from alerts.http.fleet import GEOJSON
from alerts.http.incidents import Wanted
from alerts.services.feed import FeedItem

router = APIRouter(prefix="/api/v1", tags=["feed"])
SHOWN = {"kind", "state", "site", "edge", "camera", "zone", "started_at", "ended_at", "updated_at", "version"}


@router.get("/feed")
def feed(wanted: Annotated[Wanted, Query()], context: Ctx, user: SomeUser) -> JSONResponse:
    """Return incidents that have changed since ``cursor`` as GeoJSON; keep ``cursor`` for the next look.

    A feature's ``id`` is the incident's: a newer feature replaces an older one. Those without a place have no
    geometry. Times are UTC.
    """
    page = context.services.feed.read(wanted.to_filter(user), wanted.cursor, wanted.limit)
    document = {
        "type": "FeatureCollection",
        "features": [_feature(item) for item in page.items],
        "cursor": page.cursor,
        "more": page.more,
    }
    return JSONResponse(document, media_type=GEOJSON)


def _feature(item: FeedItem) -> dict[str, Any]:
    incident, place = item.incident, item.incident.place
    about: dict[str, Any] = incident.model_dump(mode="json", include=SHOWN)
    about["areas"] = item.areas
    about["kind_zh"], about["kind_en"] = texts.KINDS[incident.kind]
    about["state_zh"], about["state_en"] = texts.STATES[incident.state]
    geometry = None
    if place is not None:
        geometry = {"type": "Point", "coordinates": [place.lon_deg, place.lat_deg]}
        about |= place.model_dump(exclude={"lat_deg", "lon_deg"})
    return {"type": "Feature", "id": incident.id, "geometry": geometry, "properties": about}
