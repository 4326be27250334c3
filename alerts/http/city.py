"""The city's own data: the event catalogue, areas, rosters, and who is in charge where."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alerts.areas.geojson import MAX_BYTES, AreaShape, Level, read_areas
from alerts.areas.roster import read_roster
from alerts.areas.service import DutyView, InCharge
from alerts.catalogue.filing import LoadedCatalogue
from alerts.catalogue.model import Category, Department, Flow, Item
from alerts.catalogue.read import read_catalogue
from alerts.catalogue.service import VersionView
from alerts.catalogue.write import write_catalogue
from alerts.http.auth import Ctx, SomeUser
from alerts.http.context import Context
from alerts.http.fleet import GEOJSON
from alerts.http.incidents import in_range
from alerts.http.uploads import FileName, received, refusal
from alerts.sheets import MAX_BYTES as MAX_TABLE_BYTES
from alerts.texts import Language
from towerwatch.errors import ConfigError

router = APIRouter(prefix="/api/v1", tags=["city"])
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class CatalogueView(BaseModel):
    """One version of the catalogue, flat; codes tell what belongs to what."""

    version: int
    digest: str
    name: str
    departments: tuple[Department, ...]
    categories: tuple[Category, ...]
    items: tuple[Item, ...]
    flows: tuple[Flow, ...]


class WantedTable(BaseModel):
    """Which version, the one that counts without one, and the language of the headings."""

    model_config = ConfigDict(extra="forbid")
    version: int | None = Field(default=None, ge=1, lt=2**63)
    language: Language = "zh"


class Checked(BaseModel):
    """What a file holds that was only checked."""

    size: str


class Imported(BaseModel):
    """How many areas or shifts there are now."""

    count: int


class Place(BaseModel):
    """A place and a time; ``department`` is left out for the grid worker of the place."""

    model_config = ConfigDict(extra="forbid")
    lat_deg: float = Field(ge=-90, le=90)
    lon_deg: float = Field(ge=-180, le=180)
    at: AwareDatetime | None = None
    department: str | None = Field(default=None, min_length=1, max_length=64)


@router.get("/catalogue")
def get_catalogue(
    context: Ctx, _user: SomeUser, version: Annotated[int | None, Query(ge=1, lt=2**63)] = None
) -> CatalogueView:
    """Return the catalogue that counts, or an older version of it."""
    return _catalogue_view(context.services.catalogue.get(version))


@router.get("/catalogue/versions")
def list_catalogues(context: Ctx, _user: SomeUser) -> tuple[VersionView, ...]:
    """List what was imported, newest first."""
    return context.services.catalogue.list_versions()


@router.get("/catalogue.csv")
def get_catalogue_csv(wanted: Annotated[WantedTable, Query()], context: Ctx, _user: SomeUser) -> Response:
    """Return a version as CSV, to be edited and imported again; departments are not in it."""
    return _table(wanted, context, ".csv", "text/csv; charset=utf-8")


@router.get("/catalogue.xlsx")
def get_catalogue_xlsx(wanted: Annotated[WantedTable, Query()], context: Ctx, _user: SomeUser) -> Response:
    """Return a version as XLSX, to be edited and imported again."""
    return _table(wanted, context, ".xlsx", XLSX)


@router.post("/catalogue")
async def import_catalogue(
    request: Request, context: Ctx, user: SomeUser, name: FileName, *, check: bool = False
) -> VersionView | Checked:
    """Make the body, a YAML, CSV or XLSX file, the catalogue that counts, or only check it.

    It goes in whole or not at all; 422 lists each thing that is wrong, with line and key, or row and column.
    """
    async with received(request, name, max_bytes=MAX_TABLE_BYTES) as path:
        try:
            catalogue = await run_in_threadpool(read_catalogue, path)
        except ConfigError as error:
            raise refusal(error) from None
    if check:
        return Checked(size=catalogue.size())
    return await run_in_threadpool(context.services.catalogue.import_catalogue, catalogue, user.name)


@router.get("/areas")
def list_areas(context: Ctx, _user: SomeUser, level: Level | None = None) -> JSONResponse:
    """Return areas as GeoJSON polygons, largest first."""
    shapes = context.services.areas.shapes()
    features = [_feature(area) for area in shapes if level is None or area.level is level]
    return JSONResponse({"type": "FeatureCollection", "features": features}, media_type=GEOJSON)


@router.post("/areas")
async def import_areas(request: Request, context: Ctx, user: SomeUser) -> Imported:
    """Make the features of the body, GeoJSON, the areas that there are; whole or not at all."""
    async with received(request, "areas.geojson", max_bytes=MAX_BYTES) as path:
        try:
            shapes = await run_in_threadpool(read_areas, path)
        except ConfigError as error:
            raise refusal(error) from None
    return Imported(count=await run_in_threadpool(context.services.areas.import_areas, shapes, user.name))


@router.get("/in-charge")
def in_charge(wanted: Annotated[Place, Query()], context: Ctx, _user: SomeUser) -> InCharge:
    """Return the areas of a place, smallest first, and who is on duty there."""
    return context.services.areas.in_charge(
        wanted.lat_deg, wanted.lon_deg, in_range(wanted.at), wanted.department
    )


@router.get("/roster")
def list_roster(context: Ctx, _user: SomeUser) -> tuple[DutyView, ...]:
    """List all shifts."""
    return context.services.areas.list_shifts()


@router.post("/roster")
async def import_roster(request: Request, context: Ctx, user: SomeUser, name: FileName) -> Imported:
    """Make the rows of the body, a CSV or XLSX file, the shifts that there are; whole or not at all."""
    areas = context.services.areas
    known = {area.id for area in await run_in_threadpool(areas.list_areas)}
    async with received(request, name, max_bytes=MAX_TABLE_BYTES) as path:
        try:
            rows = await run_in_threadpool(read_roster, path, known)
        except ConfigError as error:
            raise refusal(error) from None
    return Imported(count=await run_in_threadpool(areas.import_roster, rows, user.name))


def _table(wanted: WantedTable, context: Context, ending: str, media_type: str) -> Response:
    found = context.services.catalogue.get(wanted.version)
    with tempfile.TemporaryDirectory(prefix="towerwatch-") as folder:
        path = Path(folder) / f"catalogue{ending}"
        write_catalogue(found.catalogue, path, language=wanted.language)
        body = path.read_bytes()
    headers = {"Content-Disposition": f'attachment; filename="catalogue-{found.version}{ending}"'}
    return Response(body, media_type=media_type, headers=headers)


def _catalogue_view(found: LoadedCatalogue) -> CatalogueView:
    return CatalogueView(version=found.version, digest=found.digest, **dict(found.catalogue))


def _feature(area: AreaShape) -> dict[str, Any]:
    about = {"level": area.level, "zh": area.zh, "en": area.en, "parent": area.parent}
    return {"type": "Feature", "id": area.id, "geometry": area.geometry(), "properties": about}
