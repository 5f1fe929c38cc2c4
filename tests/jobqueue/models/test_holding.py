"""Held jobs keep their key and their time, and do not run until somebody releases them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobqueue.delivery import outbox
from jobqueue.exceptions import JobTransitionRefused
from jobqueue.jobs import enqueue
from jobqueue.models import Job, holding, jobs_in
from jobqueue.sql.clock import database_now
from jobqueue.testing import drain
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def hold(job: Job) -> Job:
    """Held by pia."""
    holding.hold(job, "pia", "the text is wrong", "default")
    return job


def test_a_held_job_is_due_for_nobody() -> None:
    job = hold(make_job(run_at=database_now("default") - timedelta(hours=1)))
    assert not Job.objects.due().exists()
    assert outbox.publish_due("default") == 0
    assert outbox.upcoming("default", 10**8) == []
    assert jobs_in("default").filter(pk=job.pk, state="waiting").exists()


def test_a_message_that_is_on_its_way_claims_no_held_job() -> None:
    from jobqueue.models import transitions
    from tests.jobqueue.admin.steps import make_worker

    now = database_now("default")
    job = hold(make_job(run_at=now, published_at=now))
    assert transitions.claim(jobs_in("default"), [(job.pk, job.attempt)], make_worker().pk) == []


def test_released_it_runs_at_its_time() -> None:
    moment = database_now("default") + timedelta(days=3)
    job = hold(make_job(run_at=moment))
    holding.release(job, "default")
    assert (job.run_at, job.held_run_at, job.reason) == (moment, None, "")


def test_released_late_it_runs_at_once() -> None:
    job = hold(make_job(run_at=database_now("default") - timedelta(days=3)))
    holding.release(job, "default")
    assert Job.objects.due().filter(pk=job.pk).exists()
    assert job.run_at >= job.created_at - timedelta(seconds=1)


def test_it_says_who_holds_it_and_why() -> None:
    assert hold(make_job("delayed")).reason == "held by pia: the text is wrong"


@pytest.mark.parametrize("state", ["active", "completed", "failed", "cancelled"])
def test_what_does_not_wait_is_not_held(state: str) -> None:
    with pytest.raises(
        JobTransitionRefused, match=f"is {state} and cannot be held; that takes a job that wa"
    ):
        hold(make_job(state))


def test_held_twice_is_refused_with_who_holds_it() -> None:
    job = hold(make_job("delayed"))
    with pytest.raises(JobTransitionRefused, match="is held already .held by pia"):
        hold(job)


def test_what_is_not_held_is_not_released() -> None:
    with pytest.raises(JobTransitionRefused, match="is not held"):
        holding.release(make_job("delayed"), "default")


def test_its_unique_key_stays_taken_and_a_further_wish_does_not_release_it() -> None:
    job = enqueue("sample.succeed", unique_key="k", delay=3600)
    hold(job)
    again = enqueue("sample.succeed", unique_key="k")
    assert again.pk == job.pk
    job.refresh_from_db()
    assert job.held_run_at is not None and not Job.objects.due().exists()
    # What was asked for sooner is so once it is released.
    holding.release(job, "default")
    assert Job.objects.due().filter(pk=job.pk).exists()


def test_a_later_wish_leaves_its_time_alone() -> None:
    job = enqueue("sample.succeed", unique_key="k", delay=3600)
    moment = hold(job).held_run_at
    enqueue("sample.succeed", unique_key="k", delay=7200)
    job.refresh_from_db()
    assert job.held_run_at == moment


def test_moved_it_stays_held_and_keeps_the_new_time() -> None:
    job = hold(make_job("delayed"))
    moment = database_now("default") + timedelta(days=9)
    job.move(moment)
    assert job.held_run_at == moment and holding.held(Job.objects.all()).exists()


def test_run_now_releases_it() -> None:
    job = hold(make_job("delayed"))
    job.run_now()
    assert job.held_run_at is None and Job.objects.due().exists()


def test_cancelled_and_retried_it_is_held_no_more() -> None:
    job = hold(make_job("delayed"))
    job.cancel()
    job.retry()
    assert job.held_run_at is None and Job.objects.due().exists()


def test_nothing_drains_it() -> None:
    hold(enqueue("sample.succeed", delay=1))
    assert not drain()
