"""Evidence from boxes and to people; artifacts to boxes. By digest, never through the broker."""

import tempfile
from collections.abc import Iterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict

from alerts.evidence import (
    CHUNK,
    MAGIC,
    TooLarge,
    WrongFile,
    keep_picture,
    looks_like,
    media_type_of,
    note_evidence,
)
from alerts.export import export_zip
from alerts.http.auth import Ctx, EdgeId, SomeUser
from alerts.http.context import Context
from alerts.http.incidents import in_range
from alerts.services.feed import EPOCH
from alerts.store import audit
from towerwatch.timebase import utc_now

router = APIRouter(tags=["files"])
Sha256Path = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
# a digest names its bytes for ever
IMMUTABLE = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


PICTURES = frozenset({"image/jpeg", "image/png"})


class JudgedWhen(BaseModel):
    """Alerts that were judged from ``since`` until before ``until``; without them, all."""

    model_config = ConfigDict(extra="forbid")
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class Picture(BaseModel):
    """A picture that was taken."""

    sha256: str


def _announced(request: Request, context: Context, allowed: frozenset[str]) -> tuple[str, int]:
    """Return the media type of what is sent, and how many bytes it may have; refuse other types and more."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in allowed:
        raise HTTPException(415, f"Content-Type {media_type!r}: one of {', '.join(sorted(allowed))}")
    max_bytes = context.config.evidence.max_mib << 20
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise HTTPException(413, f"{length} bytes; at most {max_bytes}")
    return media_type, max_bytes


@router.put("/evidence/{sha256}", status_code=201)
async def put_evidence(sha256: Sha256Path, request: Request, context: Ctx, edge: EdgeId) -> Response:
    """Take a picture or clip from a box: 201 new, 200 known, 413 too large, 415 type, 422 wrong bytes."""
    media_type, max_bytes = _announced(request, context, frozenset(MAGIC))
    known = await run_in_threadpool(media_type_of, context.database, sha256)
    if known is not None and context.evidence.has(sha256):
        return Response(status_code=200)
    try:
        size = await context.evidence.receive(
            sha256, request.stream(), max_bytes=max_bytes, media_type=media_type
        )
    except TooLarge as error:
        raise HTTPException(413, str(error)) from None
    except WrongFile as error:
        raise HTTPException(422, str(error)) from None
    except OSError as error:
        raise HTTPException(507, f"the evidence store cannot write: {error.strerror}") from None
    await run_in_threadpool(note_evidence, context.database, sha256, size, media_type, edge)
    return Response(status_code=201)


@router.post("/api/v1/pictures", status_code=201)
async def post_picture(request: Request, context: Ctx, user: SomeUser) -> Picture:
    """Take a picture from a person, as the body of the request; say under which digest it is kept."""
    media_type, max_bytes = _announced(request, context, PICTURES)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, f"more than {max_bytes} bytes")
    if not looks_like(bytes(body[:16]), media_type):
        raise HTTPException(422, f"the bytes do not begin as {media_type} does")
    sha256 = await run_in_threadpool(
        keep_picture, context.evidence, context.database, bytes(body), media_type, user.name
    )
    return Picture(sha256=sha256)


@router.get("/evidence/{sha256}")
def get_evidence(sha256: Sha256Path, context: Ctx, _user: SomeUser) -> FileResponse:
    """Return a picture or clip as it came; a clip in ranges, so that it can be sought in."""
    media_type = media_type_of(context.database, sha256)
    if media_type is None or not context.evidence.has(sha256):
        raise HTTPException(404, "this evidence is not here (yet)")
    headers = {**IMMUTABLE, "ETag": f'"{sha256}"'}
    return FileResponse(context.evidence.path(sha256), media_type=media_type, headers=headers)


@router.get("/evidence/{sha256}/play")
def play_evidence(sha256: Sha256Path, context: Ctx, _user: SomeUser) -> FileResponse:
    """Return a clip as browsers play it: H.264 as it came, anything else transcoded at the first look."""
    if media_type_of(context.database, sha256) != "video/mp4" or not context.evidence.has(sha256):
        raise HTTPException(404, "this clip is not here (yet)")
    return FileResponse(context.player.playable(sha256), media_type="video/mp4", headers=IMMUTABLE)


@router.get("/api/v1/verdicts.zip")
def get_verdicts(wanted: Annotated[JudgedWhen, Query()], context: Ctx, user: SomeUser) -> StreamingResponse:
    """Return what people judged, with pictures and clips, for retraining; the audit notes who took it."""
    since, until = in_range(wanted.since) or EPOCH, in_range(wanted.until) or utc_now()
    stream = tempfile.TemporaryFile(dir=context.config.data_dir)  # noqa: SIM115 - the answer closes it
    count = export_zip(context.database, context.evidence, stream, since, until)
    size = stream.tell()
    stream.seek(0)
    with context.database.write() as session:
        about = {"alerts": count, "since": since.isoformat(), "until": until.isoformat()}
        audit.record(session, user.name, "verdicts export", "verdicts", about)
    name = f"verdicts-{since:%Y%m%d}-{until:%Y%m%d}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    return StreamingResponse(_pieces(stream), media_type="application/zip", headers=headers)


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while piece := stream.read(CHUNK):
            yield piece


@router.get("/artifacts/{sha256}")
def get_artifact(sha256: Sha256Path, context: Ctx, _edge: EdgeId) -> FileResponse:
    """Return a model or configuration to a box."""
    if not context.artifacts.has(sha256):
        raise HTTPException(404, "there is no such artifact")
    return FileResponse(context.artifacts.path(sha256), media_type="application/octet-stream")
