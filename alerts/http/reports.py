"""A report from the spot: item, place, words and pictures in one multipart request, as a phone sends it."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from alerts.evidence import keep_picture, picture_type
from alerts.http.auth import Ctx, SomeUser
from alerts.http.incidents import IncidentId
from alerts.services.reports import MAX_NOTE, MAX_PICTURES, Report
from alerts.services.views import IncidentSummary, UserView

router = APIRouter(prefix="/api/v1", tags=["reports"])
MAX_FIELDS = 16

FlowCode = Annotated[str, Field(pattern="^[0-9]{6}$")]


class ReportForm(BaseModel):
    """The fields of a report beside its pictures; send the same ``report_id`` when you send it again."""

    model_config = ConfigDict(extra="forbid")
    item: str = Field(pattern="^[0-9]{4}$", description="An item of GET /catalogue.")
    lat_deg: float = Field(ge=-90, le=90, allow_inf_nan=False)
    lon_deg: float = Field(ge=-180, le=180, allow_inf_nan=False)
    accuracy_m: float = Field(default=20.0, gt=0, le=2000, allow_inf_nan=False)
    note: str = Field(default="", max_length=MAX_NOTE)
    flow: FlowCode | None = None
    report_id: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")


class ChosenFlow(BaseModel):
    """Another flow of the incident's item; give ``version`` to be refused if somebody was faster."""

    model_config = ConfigDict(extra="forbid")
    flow: FlowCode
    version: int | None = None


def _described() -> dict[str, Any]:
    schema = ReportForm.model_json_schema()
    picture = {"type": "array", "minItems": 1, "maxItems": MAX_PICTURES}
    schema["properties"]["picture"] = picture | {"items": {"type": "string", "format": "binary"}}
    schema["required"].append("picture")
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@router.post("/reports", status_code=201, openapi_extra=_described())
async def report(request: Request, context: Ctx, user: SomeUser) -> IncidentSummary:
    """Report something of the catalogue that you see; return the incident that it made or joined.

    411 without a length, 413 too large, 415 no multipart, 422 a bad field, item, place or picture.
    """
    max_bytes = context.config.evidence.max_mib << 20
    _refuse_too_large(request, max_bytes)
    # read here and not by the signature: before this line nobody has been asked who sends it
    async with request.form(max_files=MAX_PICTURES, max_fields=MAX_FIELDS) as form:
        fields = _fields(form)
        pictures = [await _picture(one) for one in form.getlist("picture")]
    digests = tuple(
        [
            await run_in_threadpool(
                keep_picture, context.evidence, context.database, data, media_type, user.name
            )
            for data, media_type in pictures
        ]
    )
    seen = Report(pictures=digests, **fields.model_dump())
    return await run_in_threadpool(_report, context, seen, user)


@router.post("/incidents/{incident_id}/flow")
def choose_flow(incident_id: IncidentId, body: ChosenFlow, context: Ctx, user: SomeUser) -> IncidentSummary:
    """File an incident under another flow of its item, until departments are called."""
    return context.services.reports.choose_flow(incident_id, body.flow, user=user.name, version=body.version)


def _report(context: Ctx, seen: Report, user: UserView) -> IncidentSummary:
    return context.services.reports.report(seen, user=user)


def _refuse_too_large(request: Request, max_bytes: int) -> None:
    if not request.headers.get("Content-Type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(415, "send multipart/form-data")
    length = request.headers.get("Content-Length", "")
    if not length.isdigit():
        raise HTTPException(411, "send a Content-Length")
    if int(length) > max_bytes:
        raise HTTPException(413, f"{length} bytes; at most {max_bytes}")


def _fields(form: FormData) -> ReportForm:
    names = [name for name, _value in form.multi_items() if name != "picture"]
    if len(set(names)) < len(names):
        raise HTTPException(422, "a field stands there twice")
    try:
        return ReportForm.model_validate({name: form[name] for name in names})
    except ValidationError as error:
        raise RequestValidationError(
            [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        ) from None


async def _picture(part: UploadFile | str) -> tuple[bytes, str]:
    """Return a picture and its media type by its own first bytes, whatever the phone called it."""
    if isinstance(part, str):
        raise HTTPException(422, "picture must be a file")
    data = await part.read()
    media_type = picture_type(data)
    if media_type is None:
        raise HTTPException(422, "picture is neither JPEG nor PNG")
    return data, media_type
