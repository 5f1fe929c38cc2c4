"""Steps in several databases: one that hangs is waited for a while, and then left out until it is back."""

from __future__ import annotations

import threading

import pytest
from django.conf import LazySettings
from django.db import OperationalError

from jobqueue.worker.database_threads import DatabaseThreads
from tests.conftest import wait_until


@pytest.fixture
def threads() -> DatabaseThreads:
    return DatabaseThreads.started("a test", patience=0.1)


class Hanging:
    """A step that hangs in `other` until the test lets it go on."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go_on = threading.Event()
        self.taken: list[str] = []
        self.error = error

    def __call__(self, using: str) -> None:
        if using == "other":
            self.go_on.wait(30)
            if self.error is not None:
                raise self.error
        self.taken.append(using)


def test_a_step_is_taken_in_every_database(threads: DatabaseThreads) -> None:
    taken: list[str] = []

    assert threads.each(taken.append)
    assert sorted(taken) == ["default", "other"]


def test_one_that_hangs_keeps_no_other_from_the_step_and_is_left_out_until_it_is_back(
    threads: DatabaseThreads,
) -> None:
    step = Hanging()

    assert not threads.each(step)
    assert not threads.each(step)
    assert step.taken == ["default", "default"]
    assert threads.is_under_way("other")

    step.go_on.set()
    wait_until(lambda: not threads.is_under_way("other"))
    assert threads.each(step)
    assert sorted(step.taken) == ["default"] * 3 + ["other"] * 2


def test_what_ended_late_is_known_once(threads: DatabaseThreads) -> None:
    step = Hanging()
    threads.each(step)
    assert not threads.has_been_late()

    step.go_on.set()
    wait_until(lambda: not threads.is_under_way("other"))
    assert (threads.has_been_late(), threads.has_been_late()) == (True, False)


def test_the_error_of_a_step_that_ended_late_is_raised_by_the_next(threads: DatabaseThreads) -> None:
    step = Hanging(OperationalError("gone"))
    threads.each(step)
    step.go_on.set()
    wait_until(lambda: not threads.is_under_way("other"))

    taken: list[str] = []
    with pytest.raises(OperationalError, match="gone"):
        threads.each(taken.append)
    assert sorted(taken) == ["default", "other"]


def test_one_that_fails_keeps_no_other_from_the_step(threads: DatabaseThreads) -> None:
    step = Hanging(OperationalError("away"))
    step.go_on.set()

    with pytest.raises(OperationalError, match="away"):
        threads.each(step)
    assert step.taken == ["default"]


def test_with_one_database_the_step_is_taken_by_who_asks_for_it(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default"]}
    took: list[threading.Thread] = []

    threads = DatabaseThreads.started("a test")
    threads.each(lambda _using: took.append(threading.current_thread()))

    assert took == [threading.current_thread()]
    assert not threads.are_used


def test_a_database_that_does_not_answer_is_named_once(
    threads: DatabaseThreads, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jobqueue.worker.database_threads._SILENT_AFTER", 0.0)
    step = Hanging()
    for _ in range(3):
        threads.each(step)
    step.go_on.set()

    assert caplog.text.count("the database 'other' does not answer a test") == 1
