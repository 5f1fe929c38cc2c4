"""What the database keeps true of the rows, and what rows say of themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from jobqueue.jobs import enqueue
from jobqueue.models import AtomicSaveMixin, Attempt, Job, Queue, Worker
from jobqueue.sql.clock import database_now
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import claimed, make_worker

pytestmark = pytest.mark.django_db


def test_the_database_keeps_a_unique_key_of_waiting_jobs_unique() -> None:
    enqueue(SUCCEED, unique_key="key")

    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.create(processor=SUCCEED, queue="email", timeout=1, unique_key="key")


def test_an_attempt_of_a_job_is_written_once() -> None:
    job = enqueue(SUCCEED)
    Attempt.objects.create(job=job, number=1, error_class="E")

    with pytest.raises(IntegrityError), transaction.atomic():
        Attempt.objects.create(job=job, number=1, error_class="E")


def test_a_deleted_job_takes_its_attempts_along() -> None:
    job = enqueue(SUCCEED)
    Attempt.objects.create(job=job, number=1, error_class="E")
    job.delete()

    assert not Attempt.objects.exists()


def test_a_deleted_worker_leaves_its_jobs() -> None:
    job = claimed()
    make_worker().delete()

    assert Job.objects.get().worker_id == job.worker_id


def test_rows_say_what_they_are() -> None:
    job = enqueue(SUCCEED)

    assert str(job) == f"{SUCCEED} #{job.pk}"
    assert job.message_id == f"{job.pk}-1"
    assert str(Worker(name="worker")) == "worker"
    assert str(Queue(name="email")) == "email"
    assert str(Attempt(error_class="ValueError", number=2)) == "ValueError in attempt 2"


def test_the_clock_of_the_database_has_a_time_zone() -> None:
    assert database_now("default").utcoffset() == timedelta(0)


def test_the_mixin_is_for_models_of_others() -> None:
    assert AtomicSaveMixin._meta.abstract
