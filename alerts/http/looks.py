"""Live looks: the newest picture to whoever looks, and pictures from boxes.

A browser asks again each second, and each asking keeps the look going: so one that is closed has stopped it,
no connection is held for each who looks, and any proxy can pass it on. (A multipart stream holds one for
each, and says nothing about whether anybody still sees it.)
"""

from email.utils import format_datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from alerts.evidence import looks_like
from alerts.http.auth import Ctx, EdgeId, SomeUser
from alerts.topics import ID_PATTERN

router = APIRouter(tags=["looks"])
MAX_BYTES = 2 << 20
JPEG = "image/jpeg"

IdPath = Annotated[str, Path(pattern=ID_PATTERN)]


@router.get(
    "/api/v1/cameras/{edge}/{camera}/live",
    response_class=Response,
    responses={200: {"content": {JPEG: {}}}, 202: {"description": "It is on its way: ask again."}},
)
def live(edge: IdPath, camera: IdPath, context: Ctx, user: SomeUser) -> Response:
    """Return a camera's newest picture, about one a second while you keep asking: 404 none, 409 box away."""
    if user.area is not None:
        here = [one for one in context.services.fleet.list_cameras(edge=edge) if one.camera == camera]
        if not context.services.areas.cameras_in(user.area, here):
            raise HTTPException(404, "there is no such thing in your part of the city")
    picture = context.looks.ask(edge, camera, user=user.name)
    if picture is None:
        return Response(status_code=202, headers={"Retry-After": "1"})
    came = {"Last-Modified": format_datetime(picture.came_at, usegmt=True)}
    return Response(picture.data, media_type=JPEG, headers=came)


@router.put("/live/{camera}", status_code=204)
async def put_live(camera: IdPath, request: Request, context: Ctx, edge: EdgeId) -> Response:
    """Take a picture from a box while somebody looks: 410 nobody does, 413 too large, 415 no JPEG."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"more than {MAX_BYTES} bytes")
    if not looks_like(bytes(body[:16]), JPEG):
        raise HTTPException(415, "a live picture is a JPEG")
    if not await run_in_threadpool(context.looks.keep, edge, camera, bytes(body)):
        raise HTTPException(410, "nobody looks any more")
    return Response(status_code=204)
