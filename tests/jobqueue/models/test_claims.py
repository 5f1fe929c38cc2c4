"""A claim makes rows active for one worker, once, in the order of their messages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job, transitions
from tests.jobqueue.models.steps import in_state
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import IDENTITY, claim_row, claimed

pytestmark = pytest.mark.django_db

State = Job.State


def _claim(*pairs: tuple[int, int]) -> list[int]:
    return [job.pk for job in transitions.claim(Job.objects, pairs, IDENTITY.id)]


def test_a_claim_makes_the_job_active_for_its_worker() -> None:
    job = claimed()
    row = Job.objects.get(pk=job.pk)

    assert (row.state, row.worker_id) == (State.ACTIVE, IDENTITY.id)
    assert row.started_at is not None
    assert row.deadline_at == row.started_at + timedelta(seconds=job.timeout)


def test_a_claimed_job_is_like_its_row() -> None:
    job = claimed(number=5)
    row = Job.objects.get(pk=job.pk)

    for field in Job._meta.concrete_fields:
        assert getattr(job, field.attname) == getattr(row, field.attname), field.attname


def test_claimed_jobs_come_in_the_order_of_their_messages() -> None:
    jobs = enqueue_many([(SUCCEED, {})] * 4)
    order = [jobs[index].pk for index in (2, 0, 3, 1)]

    assert _claim(*((pk, 1) for pk in order)) == order


def test_a_claim_of_no_message_is_no_claim() -> None:
    assert _claim() == []


def test_a_job_is_claimed_once() -> None:
    job = enqueue(SUCCEED)

    assert _claim((job.pk, 1)) == [job.pk]
    assert _claim((job.pk, 1)) == []


@pytest.mark.parametrize("attempt", [0, 2])
def test_a_message_of_another_attempt_is_stale(attempt: int) -> None:
    job = enqueue(SUCCEED)

    assert _claim((job.pk, attempt)) == []


@pytest.mark.parametrize("state", [State.ACTIVE, State.COMPLETED, State.FAILED, State.CANCELLED])
def test_a_message_of_a_job_that_does_not_wait_is_stale(state: str) -> None:
    job = in_state(state)

    assert _claim((job.pk, 1)) == []
    assert Job.objects.get().state == state


def test_a_message_of_a_job_that_is_not_due_is_stale() -> None:
    job = enqueue(SUCCEED, delay=60)

    assert _claim((job.pk, 1)) == []


def test_a_message_of_a_job_that_was_deleted_is_stale() -> None:
    job = enqueue(SUCCEED)
    Job.objects.all().delete()

    assert _claim((job.pk, 1)) == []


def test_a_stale_message_does_not_keep_the_others_from_being_claimed() -> None:
    stale, fresh = in_state(State.COMPLETED), enqueue(SUCCEED)

    assert _claim((stale.pk, 1), (fresh.pk, 1)) == [fresh.pk]


@pytest.mark.parametrize("attempts", [(1, 2), (2, 1)])
def test_of_messages_of_two_attempts_the_one_that_its_row_is_in_is_claimed(attempts: tuple[int, int]) -> None:
    job, other = enqueue_many([(SUCCEED, {})] * 2)
    Job.objects.filter(pk=job.pk).update(attempt=2)
    messages = [*((job.pk, attempt) for attempt in attempts), (other.pk, 1)]
    claimed = transitions.claim(Job.objects, messages, IDENTITY.id)
    assert sorted((each.pk, each.attempt) for each in claimed) == [(job.pk, 2), (other.pk, 1)]


def test_a_claim_forgets_the_reason_of_the_last_attempt() -> None:
    job = enqueue(SUCCEED)
    Job.objects.filter(pk=job.pk).update(reason="broken", finished_at=Now())

    assert claim_row(job).reason == ""
    assert Job.objects.get().finished_at is None


@pytest.mark.django_db(databases=["default", "other"])
def test_a_claim_in_another_database_stays_there() -> None:
    job = enqueue(SUCCEED, using="other")
    Job(pk=job.pk, processor=SUCCEED, queue="email", timeout=1).save(force_insert=True)
    claim_row(job, using="other")

    assert Job.objects.get(pk=job.pk).state == State.WAITING
    assert Job.objects.using("other").get(pk=job.pk).state == State.ACTIVE


def test_what_was_due_when_it_was_published_is_due_though_the_clock_stepped_back() -> None:
    job = enqueue(SUCCEED)
    Job.objects.update(run_at=Now() + timedelta(minutes=1), published_at=Now() + timedelta(minutes=1))

    assert _claim((job.pk, 1)) == [job.pk]


def test_what_was_put_off_after_it_was_published_is_not_due() -> None:
    job = enqueue(SUCCEED)
    Job.objects.update(run_at=Now() + timedelta(minutes=1))

    assert _claim((job.pk, 1)) == []
