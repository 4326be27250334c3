import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from central_kit import alert, apply_all, at, picture, place
from components import wait_until
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from alerts.config import WebhookSettings
from alerts.outbox import LONGEST_RETRY_S, retry_after_s, retry_failed, tries_within
from alerts.store.tables import Delivery
from alerts.webhooks import WebhookSender, sign, verify
from towerwatch.secrets import Secret
from towerwatch.timebase import utc_now

SECRET = Secret("shared with the city")


class Receiver(ThreadingHTTPServer):
    """The city's end: answers with the statuses it is told, 200 when there is none left."""

    def __init__(self):
        self.calls, self.answers = [], []
        self.endless, self.tick = 0, threading.Event()  # bytes of each piece of an answer without an end
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((dict(self.headers), body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        if not self.server.endless:
            self.send_header("Content-Length", "0")
        self.end_headers()
        with suppress(OSError):
            while self.server.endless:
                self.wfile.write(b"x" * self.server.endless)
                self.server.tick.wait(0.02)

    def log_message(self, *_args):
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.endless = 0
    server.shutdown()
    thread.join(5)
    server.server_close()


def settings(url, **changes):
    return WebhookSettings(name="city", url=url, secret=SECRET, **changes)


def owe(database):
    message = alert("a", position=place(), evidence=(picture(b"t0"),))
    apply_all(database, [message], targets=("city",))


def delivery(database):
    with database.read() as session:
        return session.scalars(select(Delivery)).one()


def send(database, receiver, **changes):
    sender = WebhookSender(database, settings(receiver.url, **changes))
    try:
        return sender.send_due()
    finally:
        sender.close()


def test_a_new_incident_is_sent_signed_and_once(database, receiver):
    owe(database)
    assert send(database, receiver)
    assert not send(database, receiver)
    ((headers, body),) = receiver.calls
    assert verify(SECRET, body, headers["Towerwatch-Signature"], utc_now())
    assert headers["Towerwatch-Event"] == "incident.created"
    assert headers["Towerwatch-Delivery"] == "incident.created:1"
    incident = json.loads(body)["incident"]
    assert incident["kind"] == "illegal_parking"
    assert incident["position"]["lat_deg"] == 33.0
    assert len(incident["evidence"]) == 1
    assert delivery(database).state == "sent"


def test_an_answer_that_is_no_success_is_tried_again_under_the_same_key(database, receiver):
    owe(database)
    receiver.answers = [500, 302]
    for error in ("answered 500", "answered 302"):
        send(database, receiver)
        row = delivery(database)
        assert (row.state, row.error) == ("pending", error)
        assert row.next_try_at > utc_now()
        with database.write() as session:
            session.execute(update(Delivery).values(next_try_at=utc_now()))
    send(database, receiver)
    assert delivery(database).state == "sent"
    assert {headers["Towerwatch-Delivery"] for headers, _ in receiver.calls} == {"incident.created:1"}


@pytest.mark.parametrize("piece", [1, 1 << 20], ids=["drop by drop", "a flood"])
def test_an_answer_without_an_end_holds_nothing_up(sqlite, receiver, piece):
    owe(sqlite)
    receiver.endless = piece
    sender = WebhookSender(sqlite, settings(receiver.url, timeout_s=1))
    sender.start()
    try:
        wait_until(lambda: delivery(sqlite).state == "sent", 10)
    finally:
        assert sender.stop(5)
        receiver.endless = 0


def test_a_receiver_that_is_away_is_an_error_not_a_crash(sqlite):
    owe(sqlite)
    sender = WebhookSender(sqlite, settings("http://127.0.0.1:1/hook"))
    assert sender.send_due()
    sender.close()
    row = delivery(sqlite)
    assert row.state == "pending"
    assert "ConnectError" in row.error


def test_a_sender_killed_before_it_noted_the_answer_sends_again(database, receiver):
    owe(database)
    dying = WebhookSender(database, settings(receiver.url))
    owed = dying._take()
    assert dying._send(owed) is None
    dying.close()
    # killed here: the lease runs out, and another sender takes it under the same key
    assert not send(database, receiver)
    with database.write() as session:
        session.execute(update(Delivery).values(next_try_at=utc_now()))
    assert send(database, receiver)
    assert [headers["Towerwatch-Delivery"] for headers, _ in receiver.calls] == ["incident.created:1"] * 2
    assert delivery(database).state == "sent"


def test_what_fails_too_often_is_given_up_until_somebody_asks(database, receiver):
    owe(database)
    with database.write() as session:
        session.execute(update(Delivery).values(tries=tries_within(1) - 2))
    for state in ("pending", "failed"):
        receiver.answers = [404]
        send(database, receiver, give_up_after_h=1)
        assert delivery(database).state == state
        with database.write() as session:
            session.execute(update(Delivery).values(next_try_at=utc_now()))
    assert retry_failed(database) == 1
    send(database, receiver)
    assert delivery(database).state == "sent"


@pytest.mark.parametrize(
    ("wait_s", "due"),
    [(-1, True), (60, False), (LONGEST_RETRY_S - 5, False), (LONGEST_RETRY_S + 60, True), (7 * 86400, True)],
)
def test_a_time_that_no_wait_could_have_set_is_of_a_clock_that_was_set_back(sqlite, receiver, wait_s, due):
    owe(sqlite)
    with sqlite.write() as session:
        session.execute(update(Delivery).values(next_try_at=utc_now() + timedelta(seconds=wait_s)))
    assert send(sqlite, receiver) is due


@pytest.mark.parametrize(("hours", "least", "most"), [(0.001, 1, 3), (1, 10, 25), (72, 500, 700)])
def test_giving_up_counts_tries_and_no_clock(hours, least, most):
    assert least <= tries_within(hours) <= most


def test_the_thread_sends_and_stops(sqlite, receiver):
    sender = WebhookSender(sqlite, settings(receiver.url))
    assert sender.stop(1)
    sender = WebhookSender(sqlite, settings(receiver.url))
    sender.start()
    owe(sqlite)
    wait_until(lambda: delivery(sqlite).state == "sent", 10)
    assert sender.alive()
    assert sender.stop(5)


def test_the_thread_outlives_a_database_that_fails(sqlite, receiver, monkeypatch):
    sender = WebhookSender(sqlite, settings(receiver.url))
    calls = []

    def away():
        calls.append(1)
        raise OperationalError("select", {}, OSError("gone"))

    monkeypatch.setattr(sender, "send_due", away)
    monkeypatch.setattr("alerts.outbox.IDLE_S", 0.01)
    sender.start()
    wait_until(lambda: len(calls) > 1, 10)
    assert sender.stop(5)


def test_what_a_channel_stumbles_over_is_noted_and_ends_nothing(sqlite, receiver, monkeypatch):
    sender = WebhookSender(sqlite, settings(receiver.url))
    owe(sqlite)
    monkeypatch.setattr(sender, "_send", lambda _owed: {}["key"])
    assert sender.send_due()
    assert (delivery(sqlite).state, delivery(sqlite).error) == ("pending", "KeyError: 'key'")


BODY = b'{"a": 1}'
GOOD = sign(SECRET, BODY, at(0))
CHECKS = {
    "as sent": (SECRET, BODY, GOOD, 0, True),
    "within the tolerance": (SECRET, BODY, GOOD, 299, True),
    "replayed later": (SECRET, BODY, GOOD, 301, False),
    "another body": (SECRET, BODY + b" ", GOOD, 0, False),
    "another secret": (Secret("not the one"), BODY, GOOD, 0, False),
    "another time": (SECRET, BODY, GOOD.replace("t=17", "t=18"), 0, False),
    "no time": (SECRET, BODY, "v1=ab", 0, False),
    "no signature": (SECRET, BODY, GOOD.partition(",")[0], 0, False),
    "nonsense": (SECRET, BODY, "nonsense", 0, False),
}


@pytest.mark.parametrize(("secret", "body", "header", "later_s", "good"), CHECKS.values(), ids=CHECKS)
def test_a_receiver_can_check_the_signature(secret, body, header, later_s, good):
    assert verify(secret, body, header, at(later_s)) is good


@pytest.mark.parametrize("tries", [1, 2, 5, 30, 5000])
def test_the_wait_grows_and_is_capped(tries):
    wait_s = retry_after_s(tries)
    assert min(LONGEST_RETRY_S, 2.0 ** min(tries, 20)) / 2 <= wait_s <= LONGEST_RETRY_S
