"""A database that failed is left alone for pauses that grow; what was dropped meanwhile is not forgotten."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.db import OperationalError

from jobqueue.broker import queues
from jobqueue.broker.message import Message
from jobqueue.delivery import outbox
from jobqueue.jobs import enqueue_many
from jobqueue.models import Job
from jobqueue.worker import left_alone
from jobqueue.worker.database_threads import DatabaseThreads
from jobqueue.worker.left_alone import LeftAlone
from tests.conftest import wait_until
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import IDENTITY, TELLER

pytestmark = pytest.mark.django_db(databases=["default", "other"])


class Clock:
    """Time that goes by when the test says so."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(left_alone, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


@pytest.fixture
def alone(clock: Clock) -> LeftAlone:
    return LeftAlone(IDENTITY.id.hex, TELLER, DatabaseThreads("a test"))


def _published(count: int, using: str = "default") -> list[Message]:
    """Messages of jobs that wait, in Redis."""
    messages = [
        Message(job.queue, job.pk, job.attempt, using)
        for job in enqueue_many([(SUCCEED, {})] * count, using=using)
    ]
    queues.publish(messages)
    return messages


def _asked(alone: LeftAlone, messages: Sequence[Message]) -> bool:
    """Whether the database of these messages is asked for them."""
    asked: list[str] = []
    alone.each(asked.append, {"default": messages})
    return bool(asked)


def _seconds_left_alone(alone: LeftAlone, clock: Clock) -> float:
    begin = clock.now
    while not _asked(alone, []):
        clock.now += 0.25
    return clock.now - begin


def test_each_pause_is_twice_as_long_as_the_one_before_up_to_eight_seconds(
    alone: LeftAlone, clock: Clock
) -> None:
    pauses = []
    for _ in range(6):
        alone.note_failure("default", [])
        pauses.append(_seconds_left_alone(alone, clock))

    assert pauses == [1, 2, 4, 8, 8, 8]


def test_one_that_answered_in_between_is_left_alone_shortly_again(alone: LeftAlone, clock: Clock) -> None:
    for _ in range(3):
        alone.note_failure("default", _published(1))
        clock.now += 10
    alone.look_again()
    alone.note_failure("default", [])

    assert _seconds_left_alone(alone, clock) == 1


def test_another_database_is_asked_meanwhile(alone: LeftAlone) -> None:
    asked: list[str] = []
    alone.note_failure("default", [])
    alone.each(asked.append, {"default": [], "other": []})

    assert asked == ["other"]


def test_what_is_no_database_here_is_left_to_who_asks(alone: LeftAlone) -> None:
    asked: list[str] = []
    alone.note_failure("archive", [])
    alone.each(asked.append, {"archive": []})

    assert asked == ["archive"]


def test_a_dropped_message_stands_in_nobodys_way_and_its_row_waits(
    alone: LeftAlone, redis_client: redis.Redis
) -> None:
    messages = _published(2)
    alone.note_failure("default", messages)

    assert not any(redis_client.exists(f"rq:job:{message.id}") for message in messages)
    assert Job.objects.filter(state="waiting", published_at__isnull=False).count() == 2


def test_what_was_dropped_is_left_to_the_relay_once_its_database_may_answer_again(
    alone: LeftAlone, clock: Clock
) -> None:
    alone.note_failure("default", _published(2))
    alone.look_again()
    assert Job.objects.filter(published_at__isnull=True).count() == 0
    clock.now += 1

    alone.look_again()

    assert Job.objects.filter(published_at__isnull=True).count() == 2
    assert alone.is_empty


def test_what_comes_while_it_is_left_alone_is_dropped_and_left_to_the_relay_too(
    alone: LeftAlone, clock: Clock
) -> None:
    alone.note_failure("default", _published(1))
    assert not _asked(alone, _published(2))
    clock.now += 1
    alone.look_again()

    assert Job.objects.filter(published_at__isnull=True).count() == 3


def test_nothing_is_forgotten_while_it_does_not_answer(
    alone: LeftAlone, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpublish = outbox.unpublish

    def fail(*_: Any) -> int:
        raise OperationalError("the database is away")

    alone.note_failure("default", _published(2))
    monkeypatch.setattr(outbox, "unpublish", fail)
    clock.now += 1
    alone.look_again()
    assert not alone.is_empty
    assert _seconds_left_alone(alone, clock) == 2

    monkeypatch.setattr(outbox, "unpublish", unpublish)
    alone.look_again()
    assert Job.objects.filter(published_at__isnull=True).count() == 2


def test_a_job_that_was_claimed_elsewhere_meanwhile_is_left_as_it_is(alone: LeftAlone, clock: Clock) -> None:
    messages = _published(2)
    alone.note_failure("default", messages)
    Job.objects.filter(pk=messages[0].job_id).update(attempt=2)
    clock.now += 1
    alone.look_again()

    assert list(Job.objects.filter(published_at__isnull=True).values_list("pk", flat=True)) == [
        messages[1].job_id
    ]


def test_of_very_many_so_many_are_remembered(
    alone: LeftAlone, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_alone, "_MOST_REMEMBERED", 2)
    alone.note_failure("default", _published(3))
    clock.now += 1
    alone.look_again()

    assert Job.objects.filter(published_at__isnull=True).count() == 2


def test_one_whose_last_question_is_still_open_is_not_asked_again(clock: Clock) -> None:
    threads = DatabaseThreads.started("a test", patience=0.05)
    alone, go_on, asked = LeftAlone(IDENTITY.id.hex, TELLER, threads), threading.Event(), []

    def ask(using: str) -> None:
        asked.append(using)
        go_on.wait(30)

    alone.each(ask, {"default": []})
    alone.each(ask, {"default": []})
    assert asked == ["default"]

    go_on.set()
    wait_until(lambda: not threads.is_under_way("default"))
    alone.each(ask, {"default": []})
    assert asked == ["default", "default"]
