"""Pauses of queues: who begins one, how it ends, and what code of a release before makes of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from jobqueue.exceptions import InvalidPause, UnknownQueue
from jobqueue.models import Queue
from jobqueue.models.pauses import LONGEST_PAUSE_REASON, end_pauses, pause, resume
from jobqueue.sql.clock import database_now
from jobqueue.worker.limits import QueueDecisions

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def _row() -> Queue:
    return Queue.objects.get(pk="email")


def _now() -> datetime:
    return database_now("default")


def _paused_for_workers() -> frozenset[str]:
    decisions = QueueDecisions()
    decisions.read()
    return decisions.paused


def _pause_that_is_over() -> None:
    assert pause("email", by="alice", reason="mail server", until=_now() + HOUR)
    Queue.objects.update(paused_until=_now() - timedelta(seconds=1))


def test_a_pause_says_who_why_since_when_and_until_when() -> None:
    until = _now() + HOUR
    assert pause("email", by="alice", reason="mail server", until=until)
    row = _row()
    assert (row.paused, row.paused_by, row.pause_reason, row.paused_until) == (
        True,
        "alice",
        "mail server",
        until,
    )
    assert row.paused_at is not None


def test_of_two_operators_one_begins_the_pause() -> None:
    assert pause("email", by="alice", reason="first")
    assert not pause("email", by="bob", reason="second")
    assert (_row().paused_by, _row().pause_reason) == ("alice", "first")


def test_of_two_operators_one_ends_the_pause() -> None:
    pause("email")
    assert resume("email")
    assert not resume("email")


def test_what_is_resumed_keeps_nothing_of_its_pause() -> None:
    pause("email", by="alice", reason="mail server", until=_now() + HOUR)
    resume("email")
    row = _row()
    assert (row.paused_at, row.paused_until, row.paused_by, row.pause_reason) == (None, None, "", "")


def test_limits_stay_as_they_are() -> None:
    Queue.objects.create(name="email", rate_limit=7)
    pause("email")
    resume("email")
    assert _row().rate_limit == 7


def test_a_queue_that_is_not_configured_cannot_be_paused() -> None:
    with pytest.raises(UnknownQueue):
        pause("letters")
    assert not Queue.objects.exists()


@pytest.mark.parametrize(
    ("reason", "until"),
    [
        ("x" * (LONGEST_PAUSE_REASON + 1), None),
        ("nul\x00", None),
        ("", datetime(2101, 1, 1)),
        ("", datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=14)))),
        ("", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_pause_that_cannot_be_is_refused(reason: str, until: datetime | None) -> None:
    with pytest.raises(InvalidPause):
        pause("email", reason=reason, until=until)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("nul\x00", "the reason of a pause cannot have the character U+0000"),
        ("x" * 501, "the reason of a pause must be at most 500 characters, not 501"),
    ],
)
def test_a_refused_reason_says_what_is_wrong_with_it(reason: str, said: str) -> None:
    with pytest.raises(InvalidPause, match=f"^{re.escape(said)}$"):
        pause("email", reason=reason)


def test_an_end_that_is_not_ahead_is_refused() -> None:
    with pytest.raises(InvalidPause, match="must be ahead"):
        pause("email", until=_now() - HOUR)


def test_workers_heed_a_pause_that_has_an_end() -> None:
    pause("email", until=_now() + HOUR)
    assert _paused_for_workers() == {"email"}


def test_workers_go_on_at_the_end_of_a_pause_though_nobody_looks() -> None:
    _pause_that_is_over()
    assert _paused_for_workers() == frozenset()


def test_workers_of_the_release_before_go_on_too_as_a_newer_worker_ends_it_in_the_row() -> None:
    _pause_that_is_over()
    QueueDecisions().read()
    assert not _row().paused


def test_a_pause_by_code_of_the_release_before_has_no_end() -> None:
    Queue.objects.create(name="email", paused=True)
    assert _paused_for_workers() == {"email"}
    assert end_pauses() == 0
    assert _row().paused


def test_what_older_code_left_of_a_pause_does_not_end_its_next_one() -> None:
    pause("email", until=_now() + HOUR)
    Queue.objects.update(paused=False)
    QueueDecisions().read()
    assert _row().paused_until is None


def test_a_pause_whose_time_has_come_can_be_begun_anew() -> None:
    _pause_that_is_over()
    assert pause("email", by="bob")
    assert (_row().paused_by, _row().paused_until) == ("bob", None)


def test_a_pause_whose_time_has_come_is_ended_by_nobody() -> None:
    _pause_that_is_over()
    assert not resume("email")
    assert end_pauses() == 1


def test_a_pause_that_is_not_over_is_not_ended() -> None:
    pause("email", until=_now() + HOUR)
    assert end_pauses() == 0
    assert _row().paused
