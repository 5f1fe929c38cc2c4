"""Parked jobs: which are, in which order, and what ends that."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from jobqueue.delivery import outbox
from jobqueue.delivery.lost import LostMessages
from jobqueue.models import Job, ProcessorLimits, jobs_in
from jobqueue.models.parking import park, parked, release
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db

NAME = "email.notification"


def _waiting(**values: object) -> Job:
    job = make_job("waiting", processor=NAME)
    Job.objects.filter(pk=job.pk).update(**{"run_at": Now(), "published_at": Now()} | values)
    return Job.objects.get(pk=job.pk)


def _park(*jobs: Job, processor: str = NAME) -> list[int]:
    found = park(jobs_in("default"), [(job.pk, job.attempt) for job in jobs], [processor])
    return [pk for pk, _attempt in sorted(found.parked)]


def _parked() -> list[int]:
    return list(parked(jobs_in("default"), [NAME]).values_list("pk", flat=True))


def test_jobs_are_parked_in_the_order_in_which_they_were_due_whoever_is_first() -> None:
    second, first = _waiting(), _waiting(run_at=Now() - timedelta(minutes=5))
    ancient = _waiting(run_at=Now() - timedelta(days=40))

    _park(second)
    _park(first)
    _park(ancient)

    assert _parked() == [ancient.pk, first.pk, second.pk]


def test_what_is_not_due_ran_already_or_is_of_another_processor_is_not_parked() -> None:
    later = _waiting(run_at=Now() + timedelta(hours=1), published_at=None)
    done, other = make_job("completed", processor=NAME), make_job("waiting", processor="another")

    assert _park(later, done, other) == []
    job = _waiting()
    assert park(jobs_in("default"), [(job.pk, job.attempt + 1)], [NAME]).parked == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda jobs: jobs.cancel_all(),
        lambda jobs: jobs.update(published_at=None) and None,
        lambda jobs: jobs.move_to("reminders"),
    ],
    ids=["cancelled", "left to the relay", "moved"],
)
def test_what_is_changed_meanwhile_is_parked_no_more(change: object) -> None:
    job = _waiting()
    _park(job)

    change(Job.objects.filter(pk=job.pk))  # type: ignore[operator]

    assert _parked() == []


def test_what_is_parked_is_neither_published_nor_taken_for_lost() -> None:
    ProcessorLimits.objects.create(name=NAME, concurrency_limit=1)
    _park(_waiting(published_at=Now() - timedelta(hours=1)))

    lost = LostMessages("default")
    lost.clock_stepped_back(3600)
    assert (outbox.publish_due("default"), lost.publish_again()) == (0, 0)


def test_what_stayed_parked_without_limits_is_taken_for_lost_once_the_clock_stepped_back(
    redis_client: object,
) -> None:
    _park(_waiting())
    lost = LostMessages("default")
    lost.clock_stepped_back(3600)

    assert lost.publish_again() == 1


def test_what_nobody_starts_for_a_day_is_published_as_lost(redis_client: object) -> None:
    job = _waiting()
    _park(job)
    Job.objects.filter(pk=job.pk).update(published_at=F("published_at") - timedelta(days=1, hours=1))

    assert LostMessages("default").publish_again() == 1


def test_so_many_are_released_at_a_time_the_first_ones_and_published() -> None:
    jobs = [_waiting() for _ in range(3)]
    _park(*jobs)

    assert release(jobs_in("default"), NAME, 2) == 2
    assert _parked() == [jobs[2].pk]
    assert outbox.publish_due("default") == 2
