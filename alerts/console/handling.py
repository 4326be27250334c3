"""What the incident page shows and does about departments: tasks with their limits, and their dialogs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from nicegui import events, ui
from starlette.concurrency import run_in_threadpool

from alerts import texts as shared
from alerts.catalogue.model import Flow
from alerts.console.elements import Node
from alerts.console.formats import duration, local
from alerts.console.shell import attributes, el
from alerts.services.errors import NotFound
from alerts.services.reports import CHOOSING
from alerts.services.rights import Right
from alerts.services.views import PictureView, TaskView
from alerts.states import ACTIVE_TASKS, Action, TaskAction
from towerwatch.timebase import utc_now

if TYPE_CHECKING:
    from alerts.console.incident import IncidentPage

TASK_KEYS = {TaskAction.ACCEPT: "a", TaskAction.ARRIVE: "o", TaskAction.HANDLE: "h"}
PAUSE_KEY = "p"
MAX_PICTURE_BYTES = 16 << 20
_CHOICE_KEYS = "1234567890"


class HandlingPanel:
    """The departments' part of one incident page."""

    def __init__(self, page: IncidentPage) -> None:
        """Keep the page; it builds the panel again whenever the incident changes."""
        self._page = page
        self._words = page.visitor.words

    def build(self) -> None:
        """Show the tasks, the present ones first; each key belongs to the first task that can use it."""
        tasks = self._page.incident.tasks
        if not tasks:
            return
        el("h2", text=self._words("tasks"))
        free = {*TASK_KEYS.values(), PAUSE_KEY}
        for task in sorted(tasks, key=lambda task: (task.state not in ACTIVE_TASKS, -task.id)):
            with el("div", "tw-task"):
                self._head(task)
                self._limits(task)
                pictures(task.proofs, self._page.visitor.base)
                if self._may(task):
                    self._buttons(task, free)

    def _may(self, task: TaskView) -> bool:
        user = self._page.visitor.user
        return Right.HANDLE in user.rights and user.department in {None, task.department}

    def _head(self, task: TaskView) -> None:
        with el("div", "tw-task-head"):
            el("b", text=self._page.names.department(task.department))
            state = (
                self._words("paused") if task.paused_at else self._words.name(shared.TASK_STATES, task.state)
            )
            el("span", f"tw-state tw-task-{task.state}", state)
            if task.level:
                el("span", "tw-bad", self._words("level", level=task.level))

    def _limits(self, task: TaskView) -> None:
        zone, words = self._page.visitor.console.zone, self._words
        done = {"accept": task.accepted_at, "arrive": task.arrived_at, "close": task.ended_at}
        dues = {"accept": task.accept_due_at, "arrive": task.arrive_due_at, "close": task.close_due_at}
        with el("dl", "tw-task-limits"):
            for stage, due in dues.items():
                el("dt", text=words.name(shared.STAGES, stage))
                text, late = self._limit(
                    due, done[stage], waits=task.stage == stage and task.paused_at is None
                )
                el("dd", "tw-bad" if late else "", text)
                el("dd", "tw-dim", local(due, zone)[5:16] if due else "")
        if task.pause_reason:
            el("div", "tw-dim", task.pause_reason)

    def _limit(self, due: datetime | None, done: datetime | None, *, waits: bool) -> tuple[str, bool]:
        words = self._words
        if done is not None:
            late = due is not None and done > due
            return (words("late") if late else words("in_time")), late
        if due is None or not waits:
            return "", False
        left_s = (due - utc_now()).total_seconds()
        text = words("over_by" if left_s < 0 else "left", time=duration(abs(left_s), words))
        return text, left_s < 0

    def _buttons(self, task: TaskView, free: set[str]) -> None:
        words = self._words
        if task.state not in ACTIVE_TASKS:
            return
        with el("div", "tw-task-actions"):
            for action in task.actions:
                key = TASK_KEYS.get(action)
                name = words.name(shared.TASK_ACTIONS, action)
                self._button(name, key, free, str(action), partial(self._ask, task, action))
            pause = "resume" if task.paused_at else "pause"
            self._button(words(f"line_{pause}"), PAUSE_KEY, free, pause, partial(self._ask_pause, task))

    def _button(
        self, name: str, key: str | None, free: set[str], action: str, done: Callable[[], Any]
    ) -> None:
        button = attributes(el("button", "tw-btn"), type="button", data_task_action=action)
        button.on("click", done)
        with button:
            el("span", text=name)
            if key in free:
                free.discard(key)
                attributes(button, data_key=key)
                el("kbd", text=key)

    # what departments do

    async def _ask(self, task: TaskView, action: TaskAction) -> None:
        tasks = self._page.visitor.console.services.tasks
        name = self._words.name(shared.TASK_ACTIONS, action)
        if action is TaskAction.HANDLE:
            self._proof_dialog(task, name)
        elif action is TaskAction.DECLINE:
            self._page.note_dialog(
                name, "decline_note", lambda note, user: tasks.decline(task.id, user=user, note=note),
                right=Right.HANDLE, needed=True, task_id=task.id,
            )  # fmt: skip
        else:
            call = tasks.accept if action is TaskAction.ACCEPT else tasks.arrive
            await self._page.do(
                lambda user: call(task.id, user=user), name, right=Right.HANDLE, task_id=task.id
            )

    async def _ask_pause(self, task: TaskView) -> None:
        tasks = self._page.visitor.console.services.tasks
        if task.paused_at is not None:
            name = self._words("line_resume")
            await self._page.do(
                lambda user: tasks.resume(task.id, user=user), name, right=Right.HANDLE, task_id=task.id
            )
            return
        self._page.note_dialog(
            self._words("line_pause"), "pause_note",
            lambda note, user: tasks.pause(task.id, user=user, note=note),
            right=Right.HANDLE, needed=True, task_id=task.id,
        )  # fmt: skip

    def _proof_dialog(self, task: TaskView, name: str) -> None:
        """Take pictures and a note; a task is handled only with a picture that shows it."""
        page, words = self._page, self._words
        proofs: list[str] = []

        async def take(event: events.UploadEventArguments) -> None:
            digest = await page.keep_picture(await event.file.read(), page.visitor.user.name)
            if digest is not None:
                proofs.append(digest)
                attributes(submit, disabled=None)

        with page.dialog(name) as dialog:
            el("p", "tw-dim", words("proof_hint"))
            upload = ui.upload(
                label=words("add_pictures"), on_upload=take,
                auto_upload=True, multiple=True, max_file_size=MAX_PICTURE_BYTES,
            )  # fmt: skip
            upload.props("flat bordered accept=image/jpeg,image/png").classes("tw-upload")
            note = page.note_box(words("close_note"))

            async def done() -> None:
                dialog.close()
                tasks = page.visitor.console.services.tasks
                await page.do(
                    lambda user: tasks.handle(task.id, proofs, user=user, note=note["text"]),
                    name,
                    right=Right.HANDLE,
                    task_id=task.id,
                )

            submit = page.dialog_end(dialog, name, done)
            attributes(submit, disabled="")
        page.open_once(dialog)

    # what operators ask of departments

    async def dispatch_dialog(self) -> None:
        """Choose departments, those of the catalogue's flow first; without a catalogue, write their ids."""
        page, words = self._page, self._words
        known, chosen = await run_in_threadpool(self._departments)
        busy = {task.department for task in page.incident.tasks if task.state in ACTIVE_TASKS}
        wanted = {name for name in chosen if name not in busy}
        name = words.name(shared.ACTIONS, Action.DISPATCH)
        written = {"text": ""}

        def toggle(chip: Node, department: str) -> None:
            wanted.symmetric_difference_update({department})
            attributes(chip, aria_pressed=str(department in wanted).lower())

        with page.dialog(name) as dialog:
            keys = iter(_CHOICE_KEYS)
            with el("div", "tw-reasons"):
                for department in [key for key in known if key not in busy]:
                    chip = el("button", "tw-chip")
                    key = next(keys, None)
                    attributes(chip, type="button", data_key=key, data_department=department)
                    attributes(chip, aria_pressed=str(department in wanted).lower())
                    chip.on("click", partial(toggle, chip, department))
                    with chip:
                        el("span", text=page.names.department(department))
                        if key is not None:
                            el("kbd", text=key)
            if not known:
                written = page.note_box(words("departments_hint"), rows=1)
            note = page.note_box(words("note"))

            async def done() -> None:
                dialog.close()
                departments = sorted(wanted) or written["text"].replace(",", " ").split()
                tasks, version = page.visitor.console.services.tasks, page.incident.version
                await page.do(
                    lambda user: tasks.dispatch(
                        page.incident.id, departments, user=user, note=note["text"], version=version
                    ),
                    name,
                )

            page.dialog_end(dialog, name, done)
        page.open_once(dialog)

    def _departments(self) -> tuple[Sequence[str], frozenset[str]]:
        """Return the departments that there are, and those that the incident's flow calls."""
        incident = self._page.incident
        try:
            loaded = self._page.visitor.console.services.catalogue.get(incident.catalogue)
        except NotFound:
            return (), frozenset()
        flow = loaded.flows.get(incident.flow) if incident.flow else None
        called = frozenset() if flow is None else frozenset({flow.department, *flow.along})
        known = sorted(loaded.catalogue.departments, key=lambda item: item.id not in called)
        return [item.id for item in known], called

    def score_dialog(self) -> None:
        """Ask how well it was handled; one key answers."""
        page, words = self._page, self._words
        name = words.name(shared.ACTIONS, Action.EVALUATE)
        with page.dialog(name) as dialog:
            note = page.note_box(words("note"))

            async def give(score: int) -> None:
                dialog.close()
                incidents, version = page.visitor.console.services.incidents, page.incident.version
                await page.do(
                    lambda user: incidents.evaluate(
                        page.incident.id, score, user=user, note=note["text"], version=version
                    ),
                    name,
                )

            with el("div", "tw-reasons"):
                for score in sorted(shared.SCORES, reverse=True):
                    chip = attributes(el("button", "tw-chip"), type="button", data_key=str(score))
                    chip.on("click", partial(give, score))
                    with chip:
                        el("span", text=words.name(shared.SCORES, score))
                        el("kbd", text=str(score))
        page.open_once(dialog)

    def filed(self) -> None:
        """Say which flow of the catalogue it is filed under, and offer the others while one may choose."""
        page, words = self._page, self._words
        flows = self._flows()
        current = next((flow for flow in flows if flow.code == page.incident.flow), None)
        if current is None:
            return
        with el("dl", "tw-facts"):
            el("dt", text=words("filed_under"))
            el("dd", text=f"{current.code} {self._flow_name(current)}")
        if len(flows) > 1 and page.visitor.user.may_act and page.incident.state in CHOOSING:
            button = attributes(
                el("button", "tw-btn tw-filed", words("choose_flow")), type="button", data_key="f"
            )
            attributes(button, data_do="flow")
            button.on("click", self._flow_dialog)
            with button:
                el("kbd", text="f")

    def _flows(self) -> list[Flow]:
        """Return the flows of the incident's item, while one may choose as they are now."""
        incident, catalogue = self._page.incident, self._page.visitor.console.services.catalogue
        if incident.flow is None:
            return []
        try:
            loaded = catalogue.get(None if incident.state in CHOOSING else incident.catalogue)
        except NotFound:
            return []
        return [flow for flow in loaded.catalogue.flows if flow.item == incident.flow[:4]]

    def _flow_name(self, flow: Flow) -> str:
        return flow.zh if self._words.language == "zh" else flow.en

    def _flow_dialog(self) -> None:
        """Choose another flow: each with what it is for, who is called and how fast."""
        page, words = self._page, self._words
        name, key = words("choose_flow"), page.incident.id
        version, reports = page.incident.version, page.visitor.console.services.reports

        async def choose(dialog: ui.dialog, code: str) -> None:
            dialog.close()
            await page.do(lambda user: reports.choose_flow(key, code, user=user, version=version), name)

        with page.dialog(name) as dialog, el("div", "tw-flows"):
            for number, flow in zip(_CHOICE_KEYS, self._flows(), strict=False):
                chip = attributes(
                    el("button", "tw-chip"), type="button", data_key=number, data_flow=flow.code
                )
                attributes(chip, aria_pressed=str(flow.code == page.incident.flow).lower())
                chip.on("click", partial(choose, dialog, flow.code))
                with chip:
                    with el("span"):
                        el("b", text=self._flow_name(flow))
                        condition = flow.condition_zh if words.language == "zh" else flow.condition_en
                        el("span", "tw-dim", condition or flow.condition_zh)
                        called = ", ".join(map(page.names.department, (flow.department, *flow.along)))
                        el("span", "tw-dim", f"{called} · {words('close_limit')} {flow.close}")
                    el("kbd", text=number)
        page.open_once(dialog)

    def merge_dialog(self) -> None:
        """Ask for the number of the incident that takes the alerts over."""
        page, words = self._page, self._words
        name = words.name(shared.ACTIONS, Action.MERGE)

        def merge(note: str, user: str) -> Any:
            groups, number = page.visitor.console.services.groups, note.strip().lstrip("#")
            into = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0
            within = page.visitor.user.within
            return groups.merge(
                page.incident.id, into, user=user, version=page.incident.version, within=within
            )

        page.note_dialog(name, "merge_hint", merge, needed=True)


def pictures(items: Iterable[PictureView], base: str) -> None:
    """Show small pictures that open large in a tab of their own."""
    shown = [item for item in items if item.present]
    if not shown:
        return
    with el("div", "tw-proofs"):
        for item in shown:
            with attributes(el("a"), href=base + item.url, target="_blank", rel="noopener"):
                attributes(el("img"), src=base + item.url, alt=item.actor, loading="lazy")
