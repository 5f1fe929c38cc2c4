"""Every question finds its rows, by its index."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.jobqueue.models.steps import all_states, in_state
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.reading import add_open_jobs
from tests.jobqueue.steps import claimed, make_worker

pytestmark = pytest.mark.django_db

State = Job.State


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
    jobs = all_states()

    assert set(question()) == {jobs[state] for state in expected}


def test_a_skipped_job_is_a_completed_one_with_that_reason() -> None:
    skipped, completed = in_state(State.COMPLETED), in_state(State.COMPLETED)
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
