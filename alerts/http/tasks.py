"""Departments: dispatch, and what each does about its task."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from alerts.catalogue.model import DEPARTMENT_PATTERN
from alerts.http.auth import Ctx, SomeUser
from alerts.http.incidents import Act, IncidentId, Note
from alerts.services.tasks import MAX_DEPARTMENTS, MAX_PAGE, MAX_PROOFS
from alerts.services.views import TaskPage, TaskView
from alerts.states import ACTIVE_TASKS, TaskState

router = APIRouter(prefix="/api/v1", tags=["tasks"])

TaskId = Annotated[int, Path(ge=1, lt=2**63)]
Department = Annotated[str, Field(pattern=DEPARTMENT_PATTERN)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Dispatch(Act):
    """The departments that are called; ``version`` is the incident's, as everywhere here."""

    departments: list[Department] = Field(min_length=1, max_length=MAX_DEPARTMENTS)


class Reasoned(BaseModel):
    """An action that wants a reason."""

    model_config = ConfigDict(extra="forbid")
    note: Note = Field(min_length=1)
    version: int | None = None


class Handled(Act):
    """What was done, with pictures that show it: digests of what ``POST /api/v1/pictures`` took."""

    proofs: list[Digest] = Field(min_length=1, max_length=MAX_PROOFS)


class WantedTasks(BaseModel):
    """Which tasks to list; without ``state`` those that are not done."""

    model_config = ConfigDict(extra="forbid")
    department: str | None = Field(default=None, max_length=64)
    state: list[TaskState] = Field(default_factory=list)
    cursor: str | None = Field(default=None, max_length=32)
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


@router.get("/tasks")
def list_tasks(wanted: Annotated[WantedTasks, Query()], context: Ctx, user: SomeUser) -> TaskPage:
    """List tasks of departments, newest first, a page at a time; a department sees its own."""
    return context.services.tasks.list_tasks(
        department=user.department or wanted.department,
        area=user.area,
        states=frozenset(wanted.state) or ACTIVE_TASKS,
        cursor=wanted.cursor,
        limit=wanted.limit,
    )


@router.post("/incidents/{incident_id}/dispatch")
def dispatch(incident_id: IncidentId, body: Dispatch, context: Ctx, user: SomeUser) -> tuple[TaskView, ...]:
    """Call departments, or further ones along; each gets a task with its limits."""
    return context.services.tasks.dispatch(
        incident_id, body.departments, user=user.name, note=body.note, version=body.version
    )


@router.post("/incidents/{incident_id}/withdraw")
def withdraw(incident_id: IncidentId, body: Act, context: Ctx, user: SomeUser) -> tuple[TaskView, ...]:
    """End all open tasks because the matter has ended by itself; it is up for a check then."""
    return context.services.tasks.withdraw(incident_id, user=user.name, note=body.note, version=body.version)


@router.post("/incidents/{incident_id}/send-back")
def send_back(incident_id: IncidentId, body: Reasoned, context: Ctx, user: SomeUser) -> tuple[TaskView, ...]:
    """Have it done again by the departments of the last round."""
    return context.services.tasks.send_back(incident_id, user=user.name, note=body.note, version=body.version)


@router.post("/tasks/{task_id}/accept")
def accept(task_id: TaskId, body: Act, context: Ctx, user: SomeUser) -> TaskView:
    """Take a task on."""
    return context.services.tasks.accept(task_id, user=user.name, version=body.version)


@router.post("/tasks/{task_id}/arrive")
def arrive(task_id: TaskId, body: Act, context: Ctx, user: SomeUser) -> TaskView:
    """Be on the spot."""
    return context.services.tasks.arrive(task_id, user=user.name, version=body.version)


@router.post("/tasks/{task_id}/handle")
def handle(task_id: TaskId, body: Handled, context: Ctx, user: SomeUser) -> TaskView:
    """Be done, with proof."""
    return context.services.tasks.handle(
        task_id, body.proofs, user=user.name, note=body.note, version=body.version
    )


@router.post("/tasks/{task_id}/decline")
def decline(task_id: TaskId, body: Reasoned, context: Ctx, user: SomeUser) -> TaskView:
    """Give a task back that is somebody else's."""
    return context.services.tasks.decline(task_id, user=user.name, note=body.note, version=body.version)


@router.post("/tasks/{task_id}/pause")
def pause(task_id: TaskId, body: Reasoned, context: Ctx, user: SomeUser) -> TaskView:
    """Let the limits of a task stand still, for a reason."""
    return context.services.tasks.pause(task_id, user=user.name, note=body.note, version=body.version)


@router.post("/tasks/{task_id}/resume")
def resume(task_id: TaskId, body: Act, context: Ctx, user: SomeUser) -> TaskView:
    """Let the limits of a task run again, with what was left of them."""
    return context.services.tasks.resume(task_id, user=user.name, version=body.version)
