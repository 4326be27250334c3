"""Live events as server-sent events: what changed, so that the listener asks again."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from alerts.http.auth import Ctx, SomeUser
from alerts.services.bundle import Services

router = APIRouter(prefix="/api/v1", tags=["live"])
KEEP_ALIVE_S = 15.0


@router.get("/events")
async def events(context: Ctx, _user: SomeUser) -> StreamingResponse:
    """Stream changes: ``id``, ``event`` (incident, camera, edge or resync) and JSON ``data``."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(context.services), media_type="text/event-stream", headers=headers)


async def _stream(services: Services) -> AsyncIterator[str]:
    with services.live.subscribe() as changes:
        yield ": listening\n\n"
        while True:
            try:
                change = await asyncio.wait_for(anext(changes), KEEP_ALIVE_S)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            yield f"id: {change.id}\nevent: {change.topic}\ndata: {change.model_dump_json()}\n\n"
