"""A clock that jumps makes no box silent, and holds no message back."""

from datetime import timedelta

import pytest
from central_kit import T0, alert, at, incoming
from sqlalchemy import update

from alerts.clock import JumpWatch
from alerts.config import WatchSettings, WorkSettings
from alerts.inbox import Inbox
from alerts.silence import Heard, silent_since
from alerts.store.tables import InboxRow
from alerts.work import Worker
from towerwatch.timebase import utc_now


@pytest.mark.parametrize(
    ("wall_s", "steady_s", "jump_s"),
    [(2, 2, 0), (2.4, 2, 0), (3602, 2, 3600), (-3598, 2, -3600), (600, 600, 0)],
    ids=["no jump", "slewed", "forward", "back", "a long pause"],
)
def test_a_jump_is_what_the_wall_clock_moved_more_than_time_passed(wall_s, steady_s, jump_s):
    walls, steadies = iter([T0, at(wall_s)]), iter([100.0, 100.0 + steady_s])
    watch = JumpWatch(lambda: next(walls), lambda: next(steadies))
    assert watch.jumped_s() == pytest.approx(jump_s)


WATCH = WatchSettings(health_missing_s=120, offline_grace_s=20)
# (health received, now, central listens since): all in s from T0
SET_BACK = {
    "heard before the clock was set back": (7200, 3600, 3590, False),
    "and not again since": (7200, 3600, 3400, True),
    "heard after": (3595, 3600, 3590, False),
}


@pytest.mark.parametrize(("heard_s", "now_s", "since_s", "silent"), SET_BACK.values(), ids=SET_BACK)
def test_a_box_is_silent_by_the_time_since_the_clock_was_set_back(heard_s, now_s, since_s, silent):
    heard = Heard(online=True, status_received_at=at(0), health_received_at=at(heard_s))
    assert (silent_since(heard, at(now_s), at(since_s), WATCH) is not None) is silent


@pytest.mark.parametrize(("wait_s", "taken"), [(5, 0), (3600, 1)], ids=["a retry", "of another clock"])
def test_a_row_of_a_clock_that_was_set_back_since_is_taken(sqlite, wait_s, taken):
    Inbox(sqlite).commit([incoming(alert("a"), "alert")])
    with sqlite.write() as session:
        session.execute(update(InboxRow).values(next_try_at=utc_now() + timedelta(seconds=wait_s)))
    assert Worker(sqlite, WorkSettings()).work_off() == taken
