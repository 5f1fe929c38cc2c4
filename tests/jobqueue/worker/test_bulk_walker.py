"""The walk of bulk actions in a worker: batches, turns, rates, and rows that cannot be changed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from jobqueue.models import BulkAction, Job, bulk
from jobqueue.worker import bulk_walker
from jobqueue.worker.bulk_walker import BulkWalker
from tests.jobqueue.admin.steps import make_job
from tests.jobqueue.models.test_bulk import FIRST, SECOND, ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _walker(holder: uuid.UUID = FIRST, retried: Callable[[], None] = lambda: None) -> BulkWalker:
    return BulkWalker(holder, retried)


def _look_until_ended(walker: BulkWalker, action: BulkAction) -> int:
    """How many looks it took."""
    for looks in range(1, 100):
        walker.look()
        action.refresh_from_db()
        if not action.is_open:
            return looks
    raise AssertionError("it did not end")


def test_an_action_is_walked_to_its_end_and_the_relay_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    for _ in range(5):
        make_job("failed")
    told: list[None] = []
    action = ask()
    _look_until_ended(_walker(retried=lambda: told.append(None)), action)
    assert (action.changed, len(told), Job.objects.due().count()) == (5, 3, 5)


def test_what_is_read_ahead_is_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_walker, "_READ_AHEAD", 2)
    for _ in range(5):
        make_job("failed")
    action = ask()
    _look_until_ended(_walker(), action)
    assert action.changed == 5


def test_several_actions_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    for queue in ("email", "email", "reminders", "reminders"):
        make_job("failed", queue=queue)
    actions = [
        ask(key=queue, selection={"state": "failed", "queue": queue}) for queue in ("email", "reminders")
    ]
    _walker().look()
    assert [BulkAction.objects.get(pk=action.pk).changed for action in actions] == [1, 1]


def test_no_more_than_asked_for_are_changed_in_a_second() -> None:
    for _ in range(5):
        make_job("failed")
    action = ask(per_second=2)
    walker = _walker()
    walker.look()
    pause = walker.look()
    action.refresh_from_db()
    assert action.changed == 2
    assert 0 < pause <= 1


@pytest.mark.parametrize(("per_second", "expected"), [(None, 4), (1, 2)])
def test_what_a_busy_machine_cost_is_made_good_unless_a_rate_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, per_second: int | None, expected: int
) -> None:
    monkeypatch.setattr(bulk, "PACE", 5)
    monkeypatch.setattr(bulk, "BATCH_OF_PACE", 1)
    for _ in range(9):
        make_job("failed")
    now = 1_000.0
    monkeypatch.setattr(bulk_walker.time, "monotonic", lambda: now)
    action, walker = ask(per_second=per_second), _walker()
    walker.look()
    now += 9.0  # half a second of that counts: two batches more than the one that is due
    for _ in range(6):
        walker.look()
    action.refresh_from_db()
    assert action.changed == expected


def test_an_action_that_another_worker_walks_is_left_to_it() -> None:
    make_job("failed")
    action = ask()
    bulk.take(action, SECOND, "default")
    _walker().look()
    action.refresh_from_db()
    assert (action.changed, action.holder) == (0, SECOND)


def test_where_reading_takes_longer_than_the_lease_somebody_gets_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_job("failed")
    action, walker = ask(), _walker()
    next_ids = bulk.next_ids

    def slow(*asked: Any) -> list[int]:
        _let_lapse(action)
        assert bulk.take(action, SECOND, "default")
        return next_ids(*asked)

    monkeypatch.setattr(bulk, "next_ids", slow)
    walker.look()
    action.refresh_from_db()
    assert (action.changed, action.holder) == (0, SECOND)

    _let_lapse(action)
    walker.look()
    action.refresh_from_db()
    assert (action.changed, action.holder) == (1, FIRST)


def test_what_others_changed_meanwhile_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        make_job("failed")
    action, walker = ask(per_second=1), _walker()
    walker.look()
    _let_lapse(action)
    bulk.take(action, SECOND, "default")
    bulk.change(action, bulk.next_ids(action, 3, "default"), SECOND, "default")

    _let_lapse(action)
    monkeypatch.setattr(bulk_walker.time, "monotonic", lambda: time.monotonic_ns() / 1e9 + 60)
    walker.look()
    action.refresh_from_db()
    assert (action.changed, action.is_open) == (4, False)


def _let_lapse(action: BulkAction) -> None:
    BulkAction.objects.filter(pk=action.pk).update(held_until=Now() - timedelta(seconds=1))


def test_a_walker_that_leaves_gives_up_what_it_holds() -> None:
    action = ask()
    bulk.take(action, FIRST, "default")
    _walker().give_up("default")
    assert bulk.take(action, SECOND, "default")


def test_a_row_that_cannot_be_changed_is_left_out_and_the_others_are_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = [make_job("failed") for _ in range(5)]
    change = bulk.change

    def refuses_one(action: BulkAction, ids: list[int], *others: Any, **named: Any) -> bulk.Step:
        if jobs[2].pk in ids:
            raise ValueError("what stands in this row")
        return change(action, ids, *others, **named)

    monkeypatch.setattr(bulk, "change", refuses_one)
    action = ask()
    _look_until_ended(_walker(), action)
    assert list(Job.objects.failed()) == [jobs[2]]
    assert action.changed == 4


@pytest.mark.parametrize(
    "selection", [{"colour": "red"}, ["failed"], 7, {"ended_from": "soon"}, {"ended_to": 7}]
)
def test_an_action_that_cannot_be_read_is_stopped_and_holds_up_no_other(selection: object) -> None:
    make_job("failed")
    odd, other = ask(key="odd", selection=selection), ask(key="other")
    _look_until_ended(_walker(), other)
    odd.refresh_from_db()
    assert (odd.stopped_by, odd.changed, other.changed) == ("(its selection cannot be read)", 0, 1)


def test_an_action_whose_jobs_cannot_be_read_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    make_job("failed")
    slow, other = ask(key="slow"), ask(key="other")
    next_ids = bulk.next_ids

    def never_in_time(action: BulkAction, *others: Any) -> list[int]:
        if action == slow:
            raise OperationalError("canceling statement due to statement timeout")
        return next_ids(action, *others)

    monkeypatch.setattr(bulk, "next_ids", never_in_time)
    walker = _walker()
    for _ in range(2):
        with pytest.raises(OperationalError, match="statement timeout"):
            walker.look()
    other.refresh_from_db()
    slow.refresh_from_db()
    assert (other.changed, other.is_open, slow.is_open) == (1, False, True)


def test_an_action_that_newer_code_asked_for_is_left_to_newer_workers() -> None:
    make_job("failed")
    action = ask("postpone")
    _walker().look()
    action.refresh_from_db()
    assert (action.is_open, action.holder, action.position) == (True, None, -(2**63))


def test_an_action_without_jobs_ends() -> None:
    assert _look_until_ended(_walker(), ask()) == 1


def test_failures_of_older_workers_are_given_their_cause() -> None:
    job = make_job("failed", reason="OSError: no disk 7")
    _walker().look()
    job.refresh_from_db()
    assert job.cause == "OSError: no disk #"
