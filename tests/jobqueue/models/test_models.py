"""The rows: claims, verbs, questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobqueue import signals
from jobqueue.delivery import rescue
from jobqueue.exceptions import JobTransitionRefused
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import AtomicSaveMixin, Attempt, Job, Queue, Worker, transitions
from jobqueue.sql.clock import database_now
from tests.jobqueue.processors_for_tests import FAIL_WITHOUT_RETRY, SUCCEED
from tests.jobqueue.reading import add_open_jobs
from tests.jobqueue.steps import CLAIMANT, OTHER_CLAIMANT, claim_row, claimed, make_worker, run

pytestmark = pytest.mark.django_db

State = Job.State


def _claim(*pairs: tuple[int, int]) -> list[int]:
    return [job.pk for job in transitions.claim(Job.objects, pairs, CLAIMANT.id)]


def _in_state(state: str) -> Job:
    job = enqueue(SUCCEED)
    Job.objects.filter(pk=job.pk).update(state=state)
    job.refresh_from_db()
    return job


# Claims -------------------------------------------------------------------------------------------


def test_a_claim_makes_the_job_active_for_its_worker() -> None:
    job = claimed()
    row = Job.objects.get(pk=job.pk)

    assert (row.state, row.worker_id) == (State.ACTIVE, CLAIMANT.id)
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
    job = _in_state(state)

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
    stale, fresh = _in_state(State.COMPLETED), enqueue(SUCCEED)

    assert _claim((stale.pk, 1), (fresh.pk, 1)) == [fresh.pk]


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


# Verbs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_a_job_that_failed_or_was_cancelled_can_be_retried(state: str) -> None:
    job = _in_state(state)
    job.retry()

    assert (job.state, job.attempt, job.failures, job.published_at) == (State.WAITING, 2, 0, None)
    assert Job.objects.due().get() == job


def test_a_retried_job_has_its_full_budget_and_keeps_what_went_wrong_before() -> None:
    job = claimed(FAIL_WITHOUT_RETRY)
    run(job)
    job.retry()
    run(claim_row(job))

    assert list(job.attempts.values_list("number", flat=True)) == [1, 2]


@pytest.mark.parametrize("state", [State.WAITING, State.ACTIVE, State.COMPLETED])
def test_a_job_in_another_state_cannot_be_retried(state: str) -> None:
    job = _in_state(state)

    with pytest.raises(
        JobTransitionRefused,
        match=f"job {job.pk} is {state} and cannot be retried; that takes a job that is failed or cancelled",
    ):
        job.retry()


@pytest.mark.parametrize("state", [State.ACTIVE, State.COMPLETED, State.FAILED, State.CANCELLED])
def test_a_job_that_does_not_wait_cannot_be_cancelled(state: str) -> None:
    job = _in_state(state)

    with pytest.raises(JobTransitionRefused, match=f"is {state} and cannot be cancelled; .* waiting"):
        job.cancel()


@pytest.mark.parametrize("state", [State.ACTIVE, State.COMPLETED, State.FAILED, State.CANCELLED])
def test_a_job_that_does_not_wait_cannot_be_run_now(state: str) -> None:
    job = _in_state(state)

    with pytest.raises(JobTransitionRefused, match=f"is {state} and cannot be run now"):
        job.run_now()


def test_a_delayed_job_can_be_run_now() -> None:
    job = enqueue(SUCCEED, delay=600)
    job.run_now()

    assert Job.objects.due().get() == job


def test_a_verb_looks_at_the_row_and_not_at_the_instance() -> None:
    stale = enqueue(SUCCEED)
    claim_row(stale)

    with pytest.raises(JobTransitionRefused):
        stale.cancel()
    assert stale.state == State.ACTIVE


def test_a_long_reason_is_cut() -> None:
    job = enqueue(SUCCEED)
    job.cancel("x" * 1000)

    assert job.reason == "x" * 500


def test_a_cancelled_job_whose_key_is_held_by_another_can_be_retried() -> None:
    cancelled = enqueue(SUCCEED, unique_key="key")
    cancelled.cancel()
    holder = enqueue(SUCCEED, unique_key="key")
    cancelled.retry()

    assert set(Job.objects.due()) == {cancelled, holder}


@pytest.mark.django_db(databases=["default", "other"])
def test_a_verb_works_in_the_database_that_the_job_came_from() -> None:
    job = enqueue(SUCCEED, using="other", delay=60)
    Job.objects.using("other").get(pk=job.pk).cancel()

    assert Job.objects.using("other").get().state == State.CANCELLED


def _all_states() -> dict[str, Job]:
    return {state: _in_state(state) for state in State.values} | {"delayed": enqueue(SUCCEED, delay=600)}


def test_retry_all_takes_the_failed_and_the_cancelled() -> None:
    jobs = _all_states()

    assert Job.objects.all().retry_all() == 2
    assert set(Job.objects.filter(attempt=2)) == {jobs["failed"], jobs["cancelled"]}


def test_retry_all_takes_cancelled_jobs_of_one_key() -> None:
    for _ in range(2):
        enqueue(SUCCEED, unique_key="key").cancel()

    assert Job.objects.all().retry_all() == 2


def test_cancel_all_takes_the_waiting() -> None:
    jobs = _all_states()

    assert Job.objects.all().cancel_all("enough") == 2
    assert set(Job.objects.filter(reason="enough")) == {jobs["waiting"], jobs["delayed"]}


def test_run_all_now_takes_the_delayed() -> None:
    jobs = _all_states()

    assert Job.objects.all().run_all_now() == 1
    assert jobs["delayed"] in Job.objects.due()


def test_a_bulk_verb_stays_within_its_query() -> None:
    one, other = enqueue(SUCCEED, delay=600), enqueue(SUCCEED, delay=600)

    assert Job.objects.filter(pk=one.pk).cancel_all("enough") == 1
    other.refresh_from_db()
    assert other.state == State.WAITING


# Who listens to cancellations ---------------------------------------------------------------------


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
        assert Job.objects.filter(pk=_in_state(State.COMPLETED).pk).cancel_all() == 0
        assert Job.objects.filter(pk=enqueue(SUCCEED).pk).cancel_all(tell=False) == 1


# Questions ----------------------------------------------------------------------------------------

QUESTIONS: dict[str, tuple[Callable[[], QuerySet[Job]], set[str]]] = {
    "waiting": (lambda: Job.objects.waiting(), {"waiting", "delayed"}),
    "due": (lambda: Job.objects.due(), {"waiting"}),
    "delayed": (lambda: Job.objects.delayed(), {"delayed"}),
    "active": (lambda: Job.objects.active(), {"active"}),
    "failed": (lambda: Job.objects.failed(), {"failed"}),
    "unfinished": (lambda: Job.objects.unfinished(), {"waiting", "active", "delayed"}),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_finds_its_states(name: str) -> None:
    question, expected = QUESTIONS[name]
    jobs = _all_states()

    assert set(question()) == {jobs[state] for state in expected}


def test_a_skipped_job_is_a_completed_one_with_that_reason() -> None:
    skipped, completed = _in_state(State.COMPLETED), _in_state(State.COMPLETED)
    Job.objects.filter(pk=skipped.pk).update(reason="skipped: nothing to do")
    skipped.refresh_from_db()

    assert list(Job.objects.skipped()) == [skipped]
    assert (skipped.is_skipped, completed.is_skipped) == (True, False)


def test_jobs_are_found_by_what_they_are_about() -> None:
    user = User.objects.create_user("somebody")
    about = enqueue(SUCCEED, subject=user)
    enqueue(SUCCEED, subject="auth.user:other")

    assert list(Job.objects.about(user)) == [about]
    assert list(Job.objects.about(f"auth.user:{user.pk}")) == [about]


def test_a_job_of_a_living_worker_is_not_stuck() -> None:
    claimed()
    make_worker()

    assert not Job.objects.stuck().exists()


def test_a_job_of_a_silent_worker_is_stuck() -> None:
    job = claimed()
    make_worker(silent_for=21)

    assert list(Job.objects.stuck()) == [job]


def test_a_job_of_a_worker_without_a_row_is_stuck() -> None:
    job = claimed()

    assert list(Job.objects.stuck()) == [job]


def test_a_job_within_the_grace_past_its_deadline_is_not_stuck() -> None:
    job = claimed()
    make_worker()
    Job.objects.filter(pk=job.pk).update(deadline_at=Now() - timedelta(seconds=5))

    assert not Job.objects.stuck().exists()


def test_a_job_past_its_deadline_and_the_grace_is_stuck_though_its_worker_lives() -> None:
    job = claimed()
    make_worker()
    Job.objects.filter(pk=job.pk).update(deadline_at=Now() - timedelta(seconds=11))

    assert list(Job.objects.stuck()) == [job]


def test_only_active_jobs_are_stuck() -> None:
    enqueue(SUCCEED)

    assert not Job.objects.stuck().exists()


# Rows ---------------------------------------------------------------------------------------------


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


def _plan(jobs: QuerySet[Job]) -> str:
    """How PostgreSQL gets at the rows if there are many, as it knows: other tests leave statistics behind."""
    add_open_jobs(1000)
    with connection.cursor() as cursor:
        sql, parameters = jobs.query.sql_with_params()
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        answer = cursor.fetchone()[0]
    return answer if isinstance(answer, str) else json.dumps(answer)


def _index_plan_of_sqlite(jobs: QuerySet[Job]) -> str:
    sql, parameters = jobs.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return str(cursor.fetchall())


@pytest.mark.parametrize(
    ("index", "jobs"),
    [
        (
            "jobqueue_job_unpublished",
            lambda: Job.objects.due().filter(published_at__isnull=True).order_by("run_at")[:500],
        ),
        (
            "jobqueue_job_published",
            lambda: (
                Job.objects.waiting()
                .filter(published_at__lt=Now() - timedelta(seconds=15))
                .order_by("published_at", "id")[:500]
            ),
        ),
        ("jobqueue_job_subject", lambda: Job.objects.about("auth.user:5")),
    ],
)
def test_what_is_asked_often_is_answered_by_its_index(index: str, jobs: Callable[[], QuerySet[Job]]) -> None:
    plan = _plan(jobs()) if connection.vendor == "postgresql" else _index_plan_of_sqlite(jobs())

    assert index in plan


# Atomic saves -------------------------------------------------------------------------------------


def test_the_mixin_is_for_models_of_others() -> None:
    assert AtomicSaveMixin._meta.abstract


def test_release_is_a_verb_for_active_jobs_of_any_worker() -> None:
    claimed(), claimed(claimant=OTHER_CLAIMANT)

    assert rescue.release(Job.objects.all()) == 2
