"""Live events as server-sent events: what changed, so that the listener asks again."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from alerts.http.auth import Ctx, SomeUser
from alerts.http.context import Context
from alerts.services.rights import sees
from alerts.services.views import ChangeView, UserView

router = APIRouter(prefix="/api/v1", tags=["live"])
KEEP_ALIVE_S = 15.0


@router.get("/events")
async def events(context: Ctx, user: SomeUser) -> StreamingResponse:
    """Stream changes: ``id``, ``event`` (incident, camera, edge or resync) and JSON ``data``."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(context, user), media_type="text/event-stream", headers=headers)


async def _stream(context: Context, user: UserView) -> AsyncIterator[str]:
    with context.services.live.subscribe() as changes:
        yield ": listening\n\n"
        while True:
            try:
                change = await asyncio.wait_for(anext(changes), KEEP_ALIVE_S)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if user.within and not await run_in_threadpool(_concerns, context, user, change):
                continue
            yield f"id: {change.id}\nevent: {change.topic}\ndata: {change.model_dump_json()}\n\n"


def _concerns(context: Context, user: UserView, change: ChangeView) -> bool:
    """Say whether somebody who sees a part of the city alone may hear of a change."""
    if change.topic == "incident":
        with context.database.read() as session:
            return sees(session, user.within, incident_id=int(change.ref))
    return change.topic == "resync"
