"""Random actions on one incident through the API, with crashes before the commit, against a plain model.

The model says which action is legal where; whatever the API does must agree: what is illegal is refused with
409 and changes nothing, and what is legal happens once, with its tasks, notifications and audit.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from central_kit import alert, apply_all
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from alerts.apply import apply_message
from alerts.config import CentralConfig, ConsoleSettings, WebhookSettings
from alerts.handling import handling_of
from alerts.http.app import create_app
from alerts.http.context import make_context
from alerts.outbox import Owed, Sender
from alerts.store import audit
from alerts.store.database import Database
from alerts.store.tables import AuditRow, Command, Delivery, Incident, Task, TimelineEntry
from alerts.ticker import Ticker
from towerwatch.secrets import Secret
from towerwatch.timebase import utc_now

POLICE, HIGHWAYS = "traffic-police", "highways"
JPEG = b"\xff\xd8\xff\xe0" + b"proof" * 20
FILED = {"to_verify": "filed"}
LEGAL = {
    "confirm": FILED,
    "dismiss": {"to_verify": "dismissed"},
    "dispatch": dict.fromkeys(("filed", "dispatched", "accepted", "on_site"), "dispatched"),
    "withdraw": dict.fromkeys(("dispatched", "accepted", "on_site"), "to_check"),
    "check": {"handled": "to_check"},
    "send-back": {"to_check": "dispatched"},
    "close": {"filed": "closed", "to_check": "closed"},
    "evaluate": {"closed": "evaluated"},
    "reopen": dict.fromkeys(("dismissed", "closed", "evaluated"), "to_verify"),
}
TASK_LEGAL = {
    "accept": {"assigned": "accepted"},
    "arrive": {"accepted": "on_site"},
    "handle": {"on_site": "handled"},
    "decline": {"assigned": "declined"},
}
BODIES = {
    "dismiss": {"reason": "permitted"},
    "send-back": {"note": "still there"},
    "evaluate": {"score": 4},
    "decline": {"note": "not ours"},
}
ORDER = ("assigned", "accepted", "on_site", "handled")
STANDS = {"assigned": "dispatched", "accepted": "accepted", "on_site": "on_site", "handled": "handled"}
ACTIVE = {"assigned", "accepted", "on_site"}


class Crash(RuntimeError):
    """The process died just before its commit."""


class Fragile(Database):
    """Loses what a transaction did, when told to."""

    crash = False
    spared = 0  # transactions that are still committed before the one that is lost

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            yield session
            if self.crash and not self.spared:
                raise Crash
            self.spared = max(0, self.spared - 1)


class Receiver(Sender):
    """Hears what is sent to it, and as a real one drops what comes twice under one key."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "city", timeout_s=1, give_up_after_h=72)
        self.heard: list[str] = []

    def _send(self, owed: Owed) -> None:
        if owed.key not in self.heard:
            self.heard.append(owed.key)


class Api:
    """The application, called without a network between."""

    def __init__(self, app, token: str) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, *, headers: dict | None = None, **more) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://central") as client:
                return await client.request(method, path, headers=self._headers | (headers or {}), **more)

        return asyncio.run(ask())


class Life(RuleBasedStateMachine):
    """One incident, what the model thinks of it, and the API."""

    def __init__(self, folder: Path, fresh: Callable[[], str]) -> None:
        super().__init__()
        self.database = Fragile(fresh())
        self.receiver = Receiver(self.database)
        webhook = WebhookSettings(name="city", url="http://127.0.0.1:9/", secret=Secret("s" * 16))
        config = CentralConfig(
            data_dir=folder / "data", console=ConsoleSettings(enabled=False), webhooks=(webhook,)
        )
        context = make_context(config, self.database)
        self.api = Api(create_app(context), context.services.people.create_token("machine"))
        self.ticker = Ticker(self.database, handling_of(config))
        apply_all(self.database, [alert("a")], targets=("city",))
        jpeg = {"Content-Type": "image/jpeg"}
        picture = self.api.call("POST", "/api/v1/pictures", content=JPEG, headers=jpeg)
        self.proof = picture.json()["sha256"]
        self.state, self.round = "to_verify", 1
        self.tasks: dict[int, list] = {}  # id: [department, state, round]
        self.owed = ["incident.created:1"]
        self.lines = 3

    def teardown(self) -> None:
        """In the end everything that is owed is heard, whoever died on the way."""
        try:
            self.leases_end()
            while self.receiver.send_due():
                pass
            with self.database.read() as session:
                owed = session.scalars(select(Delivery.key)).all()
            assert sorted(self.receiver.heard) == sorted(owed)
        finally:
            self.database.close()

    # what the model does

    def present(self) -> list[list]:
        return [task for task in self.tasks.values() if task[2] == self.round]

    def announce(self, event: str) -> None:
        self.owed.append(f"{event}:1:{self.api.call('GET', '/api/v1/incidents/1').json()['version']}")

    def enter(self, state: str, action: str) -> None:
        self.state = state
        self.lines += 1
        event = {"filed": "filed", "dismissed": "dismissed", "to_check": "to_check", "closed": "closed"}.get(
            state
        )
        if action == "reopen":
            event = "reopened"
        if event is not None:
            self.announce(f"incident.{event}")

    def assign(self, answer) -> None:
        for task in answer.json():
            assert task["id"] not in self.tasks
            self.tasks[task["id"]] = [task["department"], "assigned", self.round]
            self.owed.append(f"task.assigned:{task['id']}")

    # what is tried

    @rule(
        action=st.sampled_from([name for name in LEGAL if name != "dispatch"]),
        crash=st.sampled_from([False, False, False, True]),
    )
    def act(self, action: str, crash: bool) -> None:
        after = LEGAL[action].get(self.state)
        answer = self.call(f"incidents/1/{action}", BODIES.get(action, {}), crash)
        if after is None:
            assert answer.status_code == 409
            return
        if crash:
            assert answer.status_code == 500
            return
        assert answer.status_code == 200, answer.text
        if action == "withdraw":
            for task in self.present():
                task[1] = "withdrawn" if task[1] in ACTIVE else task[1]
        before = self.present()
        if action in {"send-back", "reopen"}:
            self.round += 1
        self.enter(after, action)
        if action == "send-back":
            assert {t["department"] for t in answer.json()} == {t[0] for t in before if t[1] != "declined"}
            self.assign(answer)

    @rule(
        departments=st.sampled_from([[POLICE], [HIGHWAYS], [POLICE, HIGHWAYS]]),
        crash=st.sampled_from([False, False, True]),
    )
    def dispatch(self, departments: list[str], crash: bool) -> None:
        busy = {task[0] for task in self.present() if task[1] in ACTIVE}
        legal = self.state in LEGAL["dispatch"] and not busy & set(departments)
        answer = self.call("incidents/1/dispatch", {"departments": departments}, crash and legal)
        if not legal:
            assert answer.status_code == 409
        elif not crash:
            assert answer.status_code == 200, answer.text
            self.enter("dispatched", "dispatch")
            self.assign(answer)

    @precondition(lambda self: self.tasks)
    @rule(
        action=st.sampled_from(list(TASK_LEGAL)),
        pick=st.integers(0, 99),
        crash=st.sampled_from([False, False, False, True]),
    )
    def work(self, action: str, pick: int, crash: bool) -> None:
        task_id = sorted(self.tasks)[pick % len(self.tasks)]
        task = self.tasks[task_id]
        under_way = self.state in {"dispatched", "accepted", "on_site"} and task[2] == self.round
        after = TASK_LEGAL[action].get(task[1]) if under_way else None
        body = {"proofs": [self.proof]} if action == "handle" else BODIES.get(action, {})
        answer = self.call(f"tasks/{task_id}/{action}", body, crash and after is not None)
        if after is None:
            assert answer.status_code == 409
            return
        if crash:
            return
        assert answer.status_code == 200, answer.text
        task[1] = after
        self.lines += 1
        if after == "declined":
            self.owed.append(f"task.declined:{task_id}")
        counted = [t[1] for t in self.present() if t[1] in ORDER]
        self.state = STANDS[min(counted, key=ORDER.index)] if counted else "filed"

    @rule(steps=st.integers(1, 6))
    def goes_on(self, steps: int) -> None:
        """Take the usual way a few steps further, which actions at random seldom do."""
        for _step in range(steps):
            active = [
                key for key, task in sorted(self.tasks.items()) if task[2] == self.round and task[1] in ACTIVE
            ]
            if self.state == "filed":
                self.dispatch([POLICE, HIGHWAYS], crash=False)
            elif active:
                at = {"assigned": "accept", "accepted": "arrive", "on_site": "handle"}[
                    self.tasks[active[0]][1]
                ]
                self.work(at, sorted(self.tasks).index(active[0]), crash=False)
            else:
                usual = {
                    "to_verify": "confirm",
                    "handled": "check",
                    "to_check": "close",
                    "closed": "evaluate",
                }
                self.act(usual.get(self.state, "reopen"), crash=False)

    @rule(crash=st.booleans())
    def the_alert_comes_again(self, crash: bool) -> None:
        """A phase that was applied before changes nothing, and neither does one that crashes."""
        self.database.crash = crash
        try:
            with self.database.write() as session:
                assert not apply_message(self.database, session, alert("a"), utc_now())
        except Crash:
            pass
        finally:
            self.database.crash = False

    @rule(hours=st.sampled_from([0, 1, 30]), crash=st.booleans())
    def time_passes(self, hours: int, crash: bool) -> None:
        """Reminders and looks are owed once, whether the ticker dies before its commit or not."""
        now = utc_now() + timedelta(hours=hours)
        if crash:
            self.database.crash = True
            try:
                self.ticker.tick(now)
            except Crash:
                pass
            finally:
                self.database.crash = False
            return
        before = self.counts()
        handled = self.state == "handled"
        self.ticker.tick(now)
        first = self.counts()
        self.ticker.tick(now)
        assert self.counts() == first
        self.lines += first["timeline"] - before["timeline"]
        if handled:  # the box is away, so that nobody waits for its camera
            self.state = "to_check"
            self.announce("incident.to_check")

    @rule(dies=st.sampled_from(["", "", "taking it", "after it was sent"]))
    def a_sender_sends(self, dies: str) -> None:
        """One that dies after sending, and before it notes that, sends again when its lease has ended."""
        self.database.crash, self.database.spared = bool(dies), int(dies == "after it was sent")
        try:
            self.receiver.send_due()
        except Crash:
            pass
        finally:
            self.database.crash, self.database.spared = False, 0
        self.leases_end()

    def leases_end(self) -> None:
        with self.database.write() as session:
            session.execute(update(Delivery).values(next_try_at=utc_now() - timedelta(seconds=1)))

    def call(self, path: str, body: dict, crash: bool):
        self.database.crash = crash
        try:
            return self.api.call("POST", f"/api/v1/{path}", json=body)
        finally:
            self.database.crash = False

    def counts(self) -> dict[str, int]:
        with self.database.read() as session:
            return {
                table.__tablename__: session.scalar(select(func.count()).select_from(table))
                for table in (Delivery, TimelineEntry, Task, Command)
            }

    # what must hold

    @invariant()
    def the_database_agrees(self) -> None:
        with self.database.read() as session:
            row = session.get_one(Incident, 1)
            tasks = {t.id: [t.department, t.state, t.round] for t in session.scalars(select(Task))}
            keys = session.scalars(select(Delivery.key)).all()
            lines = session.scalars(select(TimelineEntry.action).order_by(TimelineEntry.id)).all()
            audited = session.scalars(
                select(AuditRow.action).where(AuditRow.subject == "incident 1").order_by(AuditRow.seq)
            ).all()
            found = audit.verify(session)
        assert (row.state, row.round) == (self.state, self.round)
        assert row.open == (self.state not in {"dismissed", "closed", "evaluated"})
        assert (row.due_at is not None) == (self.state in {"dispatched", "accepted", "on_site"})
        assert tasks == self.tasks
        told = [key for key in keys if not key.startswith(("task.reminder", "task.overdue"))]
        assert sorted(told) == sorted(self.owed)
        assert len(set(keys)) == len(keys)
        assert len(lines) == self.lines
        assert audited == lines
        assert found.fault is None


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Make an empty database and return its address, again and again."""
    if request.param == "sqlite":
        template = request.getfixturevalue("migrated_file")

        def copy() -> str:
            for left in tmp_path.glob("life.db*"):
                left.unlink()
            shutil.copy(template, tmp_path / "life.db")
            return f"sqlite:///{tmp_path / 'life.db'}"

        return copy
    empty, cluster = request.getfixturevalue("migrated_postgres"), request.getfixturevalue("postgres")
    url = cluster.new_database("life")

    def create() -> str:
        cluster.sql('DROP DATABASE "life" WITH (FORCE)')
        cluster.sql(f'CREATE DATABASE "life" TEMPLATE "{empty}"')
        return url

    return create


def test_no_sequence_of_actions_and_crashes_breaks_an_incident(tmp_path, fresh):
    run_state_machine_as_test(
        lambda: Life(tmp_path, fresh),
        settings=settings(
            max_examples=5,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
