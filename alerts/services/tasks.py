"""What departments have to do: called, they accept, arrive and handle with proof; or they decline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alerts.catalogue.filing import flow_of
from alerts.catalogue.model import department_id
from alerts.deadlines import STAGES, WAITS_FOR, Limits, dues, later
from alerts.handling import Handling
from alerts.messages import Kind
from alerts.moves import arm, due_of, follow, move, nearest_due, step_task, tasks_of
from alerts.outbox import owe
from alerts.services.errors import Conflict, Invalid
from alerts.services.locked import changing, changing_task
from alerts.services.rows import task_view
from alerts.services.views import TaskPage, TaskView
from alerts.states import ACTIVE_TASKS, UNDER_WAY, Action, IllegalTransition, State, TaskAction, TaskState
from alerts.store.city import IncidentArea
from alerts.store.database import Database
from alerts.store.tables import EvidenceBlob, Incident, IncidentPicture, Task
from towerwatch.timebase import iso_z, utc_now

MAX_DEPARTMENTS = 16
MAX_PROOFS = 16
MAX_NOTE = 512
MAX_PAGE = 500


class TaskService:
    """What operators ask of departments, and what these do about it."""

    def __init__(self, database: Database, handling: Handling) -> None:
        """Keep the database and how things are handled here."""
        self._database = database
        self._handling = handling

    def list_tasks(
        self,
        *,
        department: str | None = None,
        area: str | None = None,
        states: frozenset[TaskState] = ACTIVE_TASKS,
        cursor: str | None = None,
        limit: int = 50,
    ) -> TaskPage:
        """Return one page of tasks, newest first; raise Invalid for a bad cursor or limit."""
        if not 1 <= limit <= MAX_PAGE:
            msg = f"limit {limit}: from 1 to {MAX_PAGE}"
            raise Invalid(msg)
        query = select(Task).where(Task.state.in_(sorted(states)))
        if department is not None:
            query = query.where(Task.department == department)
        if area is not None:
            lies = select(IncidentArea.incident_id).where(IncidentArea.area == area)
            query = query.where(Task.incident_id.in_(lies))
        if cursor is not None:
            if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
                msg = f"cursor {cursor!r} is none of ours"
                raise Invalid(msg)
            query = query.where(Task.id < int(cursor))
        with self._database.read() as session:
            rows = session.scalars(query.order_by(Task.id.desc()).limit(limit + 1)).all()
        items = tuple(task_view(row) for row in rows[:limit])
        return TaskPage(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)

    def dispatch(
        self,
        incident_id: int,
        departments: Sequence[str],
        *,
        user: str,
        note: str = "",
        limits: Limits | None = None,
        version: int | None = None,
    ) -> tuple[TaskView, ...]:
        """Call departments to an incident, or further ones along; each gets a task with its limits.

        Raises:
            NotFound: there is no such incident.
            Invalid: no department, too many, one twice, or a name that is no id.
            IllegalTransition: the incident's state does not allow it.
            Conflict: it has changed since ``version``, or a department has an open task in it.

        """
        _check_departments(departments)
        _check_note(note)
        with changing(self._database, incident_id, version) as (session, row):
            move(session, row, Action.DISPATCH, user, note=note, detail={"departments": list(departments)})
            busy = {task.department for task in tasks_of(session, row) if task.state in ACTIVE_TASKS}
            if again := sorted(busy & set(departments)):
                raise Conflict.of("department_busy", departments=", ".join(again), incident=incident_id)
            return self._assign(session, row, departments, user, limits)

    def withdraw(
        self, incident_id: int, *, user: str, note: str = "", version: int | None = None
    ) -> tuple[TaskView, ...]:
        """End all open tasks because the matter has ended by itself; somebody checks. Raises as dispatch."""
        _check_note(note)
        with changing(self._database, incident_id, version) as (session, row):
            move(session, row, Action.WITHDRAW, user, note=note, targets=self._handling.targets)
            return tuple(task_view(task) for task in tasks_of(session, row))

    def send_back(
        self, incident_id: int, *, user: str, note: str, version: int | None = None
    ) -> tuple[TaskView, ...]:
        """Have it done again: a new task, with new limits, for each department of the last round.

        Raises as :meth:`dispatch`; Invalid without a note that says what is not good enough.
        """
        _check_note(note, needed="what is not good enough")
        with changing(self._database, incident_id, version) as (session, row):
            names = sorted(
                {task.department for task in tasks_of(session, row) if task.state != TaskState.DECLINED}
            )
            move(session, row, Action.SEND_BACK, user, note=note, detail={"departments": names})
            return self._assign(session, row, names, user, None)

    def accept(self, task_id: int, *, user: str, version: int | None = None) -> TaskView:
        """Take a task on. Raises NotFound, IllegalTransition, Conflict."""
        return self._step(task_id, TaskAction.ACCEPT, user, version)

    def arrive(self, task_id: int, *, user: str, version: int | None = None) -> TaskView:
        """Be on the spot. Raises as :meth:`accept`."""
        return self._step(task_id, TaskAction.ARRIVE, user, version)

    def handle(
        self,
        task_id: int,
        proofs: Sequence[str],
        *,
        user: str,
        note: str = "",
        version: int | None = None,
    ) -> TaskView:
        """Be done, with at least one picture that shows it (SHA-256 of what is in the evidence store).

        Raises as :meth:`accept`, and Invalid without a proof, or for one that is no picture here.
        """
        _check_note(note)
        if not 1 <= len(set(proofs)) <= MAX_PROOFS:
            raise Invalid.of("proofs_count", count=len(set(proofs)), most=MAX_PROOFS)
        return self._step(task_id, TaskAction.HANDLE, user, version, note=note, proofs=sorted(set(proofs)))

    def decline(self, task_id: int, *, user: str, note: str, version: int | None = None) -> TaskView:
        """Give a task back that is somebody else's; Invalid without a note that says whose or why."""
        _check_note(note, needed="why it is declined")
        return self._step(task_id, TaskAction.DECLINE, user, version, note=note)

    def pause(self, task_id: int, *, user: str, note: str, version: int | None = None) -> TaskView:
        """Let the limits of a task stand still, for a reason; nothing reminds while it does.

        Raises as :meth:`accept`; Invalid without a reason.
        """
        _check_note(note, needed="why it is paused")
        with changing_task(self._database, task_id, version) as (session, row, task):
            if task.state not in ACTIVE_TASKS or task.paused_at is not None:
                msg = f"pause is not possible for a task that is {'paused' if task.paused_at else task.state}"
                raise IllegalTransition(msg)
            task.paused_at, task.pause_reason, task.remind_at = utc_now(), note, None
            follow(session, row, user, "pause", _about(task, note))
            return task_view(task)

    def resume(self, task_id: int, *, user: str, version: int | None = None) -> TaskView:
        """Let the limits run again, with what was left of them. Raises as :meth:`accept`."""
        with changing_task(self._database, task_id, version) as (session, row, task):
            if task.paused_at is None:
                raise IllegalTransition.of("not_paused")
            self._shift(task)
            arm(task, self._handling.escalation)
            follow(session, row, user, "resume", _about(task))
            return task_view(task)

    def _shift(self, task: Task) -> None:
        paused_at, now, calendar = task.paused_at, utc_now(), self._handling.calendar
        assert paused_at is not None  # noqa: S101 - the caller has looked
        task.accept_due_at = later(task.accept_due_at, task.accept_limit, paused_at, now, calendar)
        task.arrive_due_at = later(task.arrive_due_at, task.arrive_limit, paused_at, now, calendar)
        task.close_due_at = later(task.close_due_at, task.close_limit, paused_at, now, calendar)
        task.paused_at, task.pause_reason = None, None

    def _assign(
        self,
        session: Session,
        row: Incident,
        departments: Sequence[str],
        user: str,
        limits: Limits | None,
    ) -> tuple[TaskView, ...]:
        now, how = utc_now(), self._handling
        limits = limits or _filed_limits(session, row) or how.limits[Kind(row.kind)]
        due = dues(limits, now, how.calendar)
        counted = select(Task.department, func.count()).where(Task.incident_id == row.id)
        before: dict[str, int] = {name: n for name, n in session.execute(counted.group_by(Task.department))}  # noqa: C416 - rows are no pairs to mypy
        made = []
        for department in departments:
            task = Task(
                incident_id=row.id,
                department=department,
                number=before.get(department, 0) + 1,
                round=row.round,
                state=TaskState.ASSIGNED,
                assigned_at=now,
                assigned_by=user,
                reminded=0,
                level=0,
                **{f"{stage}_limit": str(limits.of(stage) or "") or None for stage in STAGES},
                **{f"{stage}_due_at": due[stage] for stage in STAGES},
            )
            arm(task, how.escalation)
            session.add(task)
            made.append(task)
        row.due_at = nearest_due(tasks_of(session, row))
        for task in made:
            announce(session, how, "task.assigned", row, task, number=str(task.id))
        return tuple(task_view(task) for task in made)

    def _step(
        self,
        task_id: int,
        action: TaskAction,
        user: str,
        version: int | None,
        *,
        note: str = "",
        proofs: Sequence[str] = (),
    ) -> TaskView:
        with changing_task(self._database, task_id, version) as (session, row, task):
            if State(row.state) not in UNDER_WAY or task.round != row.round:
                msg = f"{action} is not possible: incident {row.id} is {row.state}"
                raise IllegalTransition(msg)
            if task.paused_at is not None:
                self._shift(task)  # who goes on working has ended the pause
            step_task(task, action)
            arm(task, self._handling.escalation)
            self._keep_proofs(session, task, proofs, user)
            detail = _about(task, note) | ({"proofs": list(proofs)} if proofs else {})
            follow(session, row, user, action, detail)
            if action is TaskAction.DECLINE:
                announce(session, self._handling, "task.declined", row, task, number=str(task.id), note=note)
            return task_view(task)

    def _keep_proofs(self, session: Session, task: Task, proofs: Sequence[str], user: str) -> None:
        pictures = session.scalars(
            select(EvidenceBlob.sha256).where(
                EvidenceBlob.sha256.in_(proofs),
                EvidenceBlob.media_type.startswith("image/"),
                EvidenceBlob.deleted_at.is_(None),
            )
        ).all()
        if missing := sorted(set(proofs) - set(pictures)):
            msg = f"proof {missing[0]}: no picture of that digest is here; send it first"
            raise Invalid(msg)
        for sha256 in proofs:
            session.add(
                IncidentPicture(
                    incident_id=task.incident_id,
                    task_id=task.id,
                    role="proof",
                    sha256=sha256,
                    at=utc_now(),
                    actor=user,
                )
            )


def _filed_limits(session: Session, row: Incident) -> Limits | None:
    """Return the limits of the flow that an incident is filed under; None without one."""
    flow = flow_of(session, row)
    return Limits(flow.accept, flow.arrive, flow.close) if flow is not None else None


def announce(
    session: Session,
    handling: Handling,
    event: Any,
    row: Incident,
    task: Task,
    *,
    number: str,
    level: int = 0,
    note: str = "",
) -> None:
    """Owe an event about a task; its body says what is due when, and how high it has been escalated."""
    due = due_of(task)
    about = {
        "task": {
            "id": task.id,
            "department": task.department,
            "state": task.state,
            "stage": WAITS_FOR.get(TaskState(task.state)),
            "due_at": iso_z(due) if due else None,
            "level": level,
            "note": note,
        }
    }
    owe(
        session,
        handling.targets,
        event,
        row,
        number=number,
        department=task.department,
        level=level,
        about=about,
    )


def _about(task: Task, note: str = "") -> dict[str, Any]:
    return {"task": task.id, "department": task.department} | ({"note": note} if note else {})


def _check_departments(departments: Sequence[str]) -> None:
    if not 1 <= len(departments) <= MAX_DEPARTMENTS:
        raise Invalid.of("departments_count", count=len(departments), most=MAX_DEPARTMENTS)
    for name in departments:
        try:
            department_id(name)
        except ValueError as error:
            raise Invalid(str(error)) from None
        if departments.count(name) > 1:
            raise Invalid.of("department_twice", department=name)


def _check_note(note: str, needed: str | None = None) -> None:
    if needed is not None and not note.strip():
        raise Invalid.of("note_needed", needed=needed)
    if len(note) > MAX_NOTE:
        raise Invalid.of("note_long", count=len(note), most=MAX_NOTE)
