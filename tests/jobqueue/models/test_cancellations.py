"""Who listens to cancellations takes part in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from jobqueue import signals
from jobqueue.jobs import enqueue
from jobqueue.models import FailedJob, Job, Queue, StuckJob
from tests.jobqueue.models.steps import in_state
from tests.jobqueue.processors_for_tests import SUCCEED

pytestmark = pytest.mark.django_db

State = Job.State


@contextmanager
def _listening(listener: Callable[..., None]) -> Iterator[None]:
    signals.job_cancelled.connect(listener, sender=Job)
    try:
        yield
    finally:
        signals.job_cancelled.disconnect(listener, sender=Job)


CANCELS: dict[str, Callable[[Job], object]] = {
    "cancel": lambda job: job.cancel("enough"),
    "cancel_all": lambda job: Job.objects.filter(pk=job.pk).cancel_all("enough"),
    "cancel_all of failed": lambda job: FailedJob.objects.filter(pk=job.pk).cancel_all("enough"),
    "cancel_all of stuck": lambda job: StuckJob.objects.filter(pk=job.pk).cancel_all("enough"),
}
each_way_to_cancel = pytest.mark.parametrize("cancel", CANCELS.values(), ids=CANCELS.keys())


@each_way_to_cancel
def test_a_listener_hears_which_jobs_are_cancelled_and_why(cancel: Callable[[Job], object]) -> None:
    heard: list[Any] = []

    def listener(jobs: list[Job], reason: str, using: str, **_: Any) -> None:
        heard.append(([job.pk for job in jobs], reason, using))

    job = enqueue(SUCCEED)
    with _listening(listener):
        cancel(job)

    assert heard == [([job.pk], "enough", "default")]


@pytest.mark.django_db(transaction=True)
@each_way_to_cancel
def test_a_listener_writes_in_the_transaction_that_cancels(cancel: Callable[[Job], object]) -> None:
    seen: list[tuple[bool, str]] = []

    def listener(jobs: list[Job], **_: Any) -> None:
        seen.append((connection.in_atomic_block, Job.objects.get(pk=jobs[0].pk).state))

    with _listening(listener):
        cancel(enqueue(SUCCEED))

    assert seen == [(True, State.CANCELLED)]


@pytest.mark.django_db(transaction=True)
@each_way_to_cancel
def test_a_listener_that_raises_keeps_the_jobs_waiting(cancel: Callable[[Job], object]) -> None:
    def listener(**_: Any) -> None:
        Queue.objects.create(name="noted")
        raise ZeroDivisionError

    job = enqueue(SUCCEED)
    with _listening(listener), pytest.raises(ZeroDivisionError):
        cancel(job)

    assert list(Job.objects.waiting()) == [job]
    assert not Queue.objects.filter(name="noted").exists()


def test_nobody_hears_of_jobs_that_do_not_wait_or_that_their_own_code_cancels() -> None:
    def listener(**_: Any) -> None:
        raise ZeroDivisionError

    with _listening(listener):
        assert Job.objects.filter(pk=in_state(State.COMPLETED).pk).cancel_all() == 0
        assert Job.objects.filter(pk=enqueue(SUCCEED).pk).cancel_all(tell=False) == 1
