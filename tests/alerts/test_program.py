"""Parts together: start, ordered stop, and real processes killed at any moment."""

from __future__ import annotations

import os
import re
import signal
import time
from types import SimpleNamespace

import httpx
import pytest
from central_kit import alert, hex_id, whole_life
from components import Postgres, free_port, towerwatch, wait_until
from components import Program as Process
from paho.mqtt import client as mqtt
from paho.mqtt import publish
from sqlalchemy import select

from alerts import program
from alerts.config import CentralConfig, DatabaseSettings
from alerts.inbox import Inbox, Incoming
from alerts.messages import encode
from alerts.program import DatabaseUnreachable, Program, open_database
from alerts.services.incidents import IncidentService
from alerts.store import migrate
from alerts.store.database import Database
from alerts.store.tables import Alert, AlertPhase, InboxRow
from towerwatch.errors import ConfigError
from towerwatch.timebase import utc_now


class Toy:
    """A part that notes what is done to it."""

    def __init__(self, name, log, *, stops=True, starts=True, lives=True):
        self.name, self._log = name, log
        self._stops, self._starts, self._lives = stops, starts, lives

    def start(self):
        if not self._starts:
            raise program.TowerwatchError(self.name)
        self._log.append(f"+{self.name}")

    def stop(self, timeout_s):
        assert 0 < timeout_s <= 10
        self._log.append(f"-{self.name}")
        return self._stops

    def alive(self):
        return self._lives


def test_parts_start_in_order_and_stop_in_reverse():
    log, handler = [], signal.getsignal(signal.SIGTERM)
    whole = Program([Toy("a", log), Toy("b", log)])
    assert whole.run(lambda: signal.raise_signal(signal.SIGTERM)) == 0
    assert log == ["+a", "+b", "-b", "-a"]
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_part_that_cannot_start_takes_those_before_it_down_in_order():
    log = []
    with pytest.raises(program.TowerwatchError):
        Program([Toy("a", log), Toy("b", log, starts=False), Toy("c", log)]).run()
    assert log == ["+a", "-a"]


def test_a_second_central_on_the_same_file_is_refused_with_who_has_it(sqlite):
    with program.alone(sqlite, "consume", "work"):
        with (
            pytest.raises(ConfigError, match=f"process {os.getpid()} runs `work` on it"),
            program.alone(sqlite, "work"),
        ):
            pytest.fail("two workers on one file")
        with program.alone(sqlite, "another part"):
            pass
    with program.alone(sqlite, "work"):
        pass


def test_a_new_database_is_made_with_a_word_about_it(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        program, "log", SimpleNamespace(warning=lambda text, **more: said.append((text, more)))
    )
    for _start in range(2):
        open_database(CentralConfig(data_dir=tmp_path / "mistyped")).close()
    file = str(tmp_path / "mistyped" / "central.db")
    assert said == [("there was no database here; a new one is made", {"database": file})]


@pytest.mark.parametrize("fault", [{"lives": False}, {"stops": False}], ids=["dies", "does not stop"])
def test_a_part_that_dies_or_hangs_is_an_exit_code(fault):
    ready = (lambda: None) if "lives" in fault else (lambda: signal.raise_signal(signal.SIGINT))
    assert Program([Toy("a", [], **fault)]).run(ready) == 1


def test_a_database_that_never_answers_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(program.time, "sleep", lambda _s: None)
    url = f"postgresql://towerwatch@127.0.0.1:{free_port()}/none"
    config = CentralConfig(data_dir=tmp_path, database=DatabaseSettings(url=url))
    with pytest.raises(DatabaseUnreachable, match="does not answer"):
        open_database(config, wait_s=0.2)


def configure(tmp_path, broker_port=None, http_port=None, url=None):
    # small batches, so that a kill falls between two of them
    lines = [f"data_dir: {tmp_path}/data", "console: {enabled: false}", "work: {batch: 20}"]
    if url:
        lines.append(f"database: {{url: '{url}'}}")
    if broker_port:
        lines.append(f"broker: {{port: {broker_port}, keepalive_s: 5}}")
    if http_port:
        lines.append(f"serve: {{port: {http_port}}}")
    file = tmp_path / "central.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_up_serves_takes_an_alert_from_the_broker_and_stops(tmp_path):
    """One process with its own broker: from a published alert to an incident in the API, then SIGTERM."""
    port, http_port = free_port(), free_port()
    file = configure(tmp_path, port, http_port)
    command = towerwatch("central", "up", "--config", file, "--embedded-broker")
    with Process(command, tmp_path / "up.log") as process:
        wait_until(lambda: "serving http" in process.output() or not process.running(), 60)
        output = process.output()
        assert process.running(), output
        password = re.search(r"log in as admin with password (\S+)", output).group(1)
        url = f"http://127.0.0.1:{http_port}"
        with httpx.Client(base_url=url, timeout=10) as client:
            login = client.post("/api/v1/login", json={"name": "admin", "password": password})
            assert login.status_code == 200
            wait_until(lambda: client.get("/api/v1/parts").json().get("consume", {}).get("connected"), 30)
            topic = "towerwatch/v1/riverside/box-1/alert"
            payload = encode(alert("a"))
            publish.single(topic, payload, qos=1, hostname="127.0.0.1", port=port, protocol=mqtt.MQTTv5)
            wait_until(lambda: client.get("/api/v1/incidents").json()["items"], 20)
        began = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - began < 10
        text = process.output()
    assert text.count(password) == 1
    with Process(towerwatch("central", "serve", "--config", file), tmp_path / "again.log") as again:
        wait_until(lambda: "serving http" in again.output() or not again.running(), 60)
        assert "password" not in again.output()
        assert again.stop() == 0


def fill(database, lives):
    messages = [message for life in lives for message in life]
    topic = "towerwatch/v1/riverside/box-1/alert"
    Inbox(database).commit([Incoming(topic, encode(message), utc_now()) for message in messages])


def check_all_once(database, names):
    with database.read() as session:
        alerts = {row.id: row for row in session.scalars(select(Alert))}
        phases = session.execute(select(AlertPhase.alert_id, AlertPhase.phase_seq)).all()
    assert set(alerts) == {hex_id(name) for name in names}
    assert {row.phase for row in alerts.values()} == {"closed"}
    assert len(phases) == len(set(phases)) == 3 * len(names)
    items = IncidentService(database).list_incidents(limit=500).items
    assert len(items) == len(names)
    assert {item.alert_count for item in items} == {1}


def done(database):
    return lambda: not [1 for row in states(database) if row != "done"]


def states(database):
    with database.read() as session:
        return list(session.scalars(select(InboxRow.state)))


def test_a_worker_killed_again_and_again_loses_and_doubles_nothing(tmp_path, database_url):
    database = Database(database_url)
    file = configure(tmp_path, url=database_url)
    names = [f"car-{number}" for number in range(60)]
    fill(database, [whole_life(name, place_key=name) for name in names])
    command = towerwatch("central", "work", "--config", file)
    for round_ in range(3):
        with Process(command, tmp_path / f"work-{round_}.log") as process:
            before = states(database).count("done")
            wait_until(lambda seen=before: states(database).count("done") > seen, 60)
            process.kill()
    with Process(command, tmp_path / "last.log") as process:
        wait_until(done(database), 60)
        assert process.stop() == 0
    check_all_once(database, names)
    database.close()


def test_postgresql_restarts_under_the_worker(tmp_path):
    cluster = Postgres().start()
    try:
        url = cluster.new_database("restart")
        database = Database(url)
        migrate.upgrade(database)
        names = [f"car-{number}" for number in range(40)]
        fill(database, [whole_life(name, place_key=name) for name in names[:20]])
        command = towerwatch("central", "work", "--config", configure(tmp_path, url=url))
        with Process(command, tmp_path / "work.log") as process:
            wait_until(lambda: states(database).count("done") > 3, 60)
            cluster.stop(signal.SIGQUIT)
            cluster.start()
            fill(database, [whole_life(name, place_key=name) for name in names[20:]])
            wait_until(done(database), 60)
            assert process.running()
            assert process.stop() == 0
        check_all_once(database, names)
        database.close()
    finally:
        cluster.stop()
        cluster.remove()
