"""Evidence from boxes and to people; artifacts to boxes. By digest, never through the broker."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from alerts.evidence import MAGIC, TooLarge, WrongFile, media_type_of, note_evidence
from alerts.http.auth import Ctx, EdgeId, SomeUser

router = APIRouter(tags=["files"])
Sha256Path = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
# a digest names its bytes for ever
IMMUTABLE = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


@router.put("/evidence/{sha256}", status_code=201)
async def put_evidence(sha256: Sha256Path, request: Request, context: Ctx, edge: EdgeId) -> Response:
    """Take a picture or clip from a box: 201 new, 200 known, 413 too large, 415 type, 422 wrong bytes."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in MAGIC:
        raise HTTPException(415, f"Content-Type {media_type!r}: one of {', '.join(MAGIC)}")
    max_bytes = context.config.evidence.max_mib << 20
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise HTTPException(413, f"{length} bytes; at most {max_bytes}")
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


@router.get("/artifacts/{sha256}")
def get_artifact(sha256: Sha256Path, context: Ctx, _edge: EdgeId) -> FileResponse:
    """Return a model or configuration to a box."""
    if not context.artifacts.has(sha256):
        raise HTTPException(404, "there is no such artifact")
    return FileResponse(context.artifacts.path(sha256), media_type="application/octet-stream")
