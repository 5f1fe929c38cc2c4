"""The database's clock as a process tells it without asking: never ahead, and a step back is noticed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobqueue.sql import clock
from jobqueue.sql.clock import DatabaseClock
from tests.jobqueue.clocks import Clock

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Database:
    """Shows this time, and answers after so many seconds on the way there and back."""

    def __init__(self, host: Clock) -> None:
        self._host = host
        self.ahead = 0.0
        self.way = 0.0

    def now(self, using: str) -> datetime:
        self._host.now += self.way
        shown = EPOCH + timedelta(seconds=self._host.now + self.ahead)
        self._host.now += self.way
        return shown


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """This process's own clock."""
    host = Clock()
    monkeypatch.setattr(clock, "time", host)
    return host


@pytest.fixture
def database(host: Clock, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The database that is asked."""
    database = Database(host)
    monkeypatch.setattr(clock, "database_now", database.now)
    return database


def _asked(host: Clock, times: int = 3) -> DatabaseClock:
    asked = DatabaseClock("default")
    for _ in range(times):
        assert asked.ask() is None
        host.now += 1
    return asked


def test_a_clock_that_goes_on_has_not_stepped_back(host: Clock, database: Database) -> None:
    _asked(host, 40)


def test_a_step_back_is_noticed_once_with_what_it_would_show(host: Clock, database: Database) -> None:
    asked = _asked(host)
    database.ahead -= 60

    step = asked.ask()

    assert step is not None
    assert step.seconds == pytest.approx(60)
    assert step.would_show.timestamp() == pytest.approx((EPOCH + timedelta(seconds=host.now)).timestamp())
    assert asked.ask() is None


def test_after_a_step_back_moments_are_told_by_what_it_shows_now(host: Clock, database: Database) -> None:
    asked = _asked(host)
    database.ahead -= 60
    asked.ask()

    shown = (EPOCH + timedelta(seconds=host.now - 60)).timestamp()
    assert asked.monotonic(shown) == pytest.approx(host.now)


def test_a_step_forwards_is_followed_at_once(host: Clock, database: Database) -> None:
    asked = _asked(host)
    database.ahead += 60

    assert asked.ask() is None
    shown = (EPOCH + timedelta(seconds=host.now + 60)).timestamp()
    assert asked.monotonic(shown) == pytest.approx(host.now)


def test_an_answer_that_took_long_is_no_step_back(host: Clock, database: Database) -> None:
    asked = _asked(host)
    database.way = 30

    assert asked.ask() is None


def test_a_clock_that_is_put_right_little_by_little_has_not_stepped(host: Clock, database: Database) -> None:
    asked = _asked(host)
    database.ahead -= 0.05

    assert asked.ask() is None
