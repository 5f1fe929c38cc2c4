"""Copies of jobs: checked and written as `enqueue` does it, told apart from their originals by a number."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from jobqueue.copying import copies_of, copy_job
from jobqueue.exceptions import (
    InvalidPayload,
    InvalidRunAt,
    JobCopyRefused,
    JobQueueError,
    MaskedPayload,
    PastRunAt,
    PayloadTooLarge,
    UniqueKeyHeld,
    UnknownProcessor,
    UnknownQueue,
)
from jobqueue.jobs import enqueue
from jobqueue.masking import mask_payload
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from jobqueue.testing import drain
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.mark.parametrize("state", ["waiting", "delayed", "active", "completed", "failed", "cancelled"])
def test_a_job_in_any_state_can_be_copied_and_stays_as_it_is(state: str) -> None:
    job = make_job(state, payload={"marker": "a"}, subject="shop.order:7", queue="reminders")
    before = Job.objects.filter(pk=job.pk).values().get()
    copy = copy_job(job, {"marker": "b"})
    copy.refresh_from_db()
    assert (copy.processor, copy.queue, copy.subject) == ("sample.succeed", "reminders", "shop.order:7")
    assert (copy.payload, copy.copied_from, copy.state) == ({"marker": "b"}, job.pk, "waiting")
    assert (copy.attempt, copy.failures, copy.bulk_action) == (1, 0, None)
    assert Job.objects.filter(pk=job.pk).values().get() == before
    assert list(copies_of(job)) == [copy]


def test_without_a_payload_the_copy_has_the_jobs_own() -> None:
    assert copy_job(make_job(payload={"marker": "a"})).payload == {"marker": "a"}


def test_a_copy_runs() -> None:
    copy = copy_job(make_job("failed", payload={}), {})
    drain()
    copy.refresh_from_db()
    assert copy.state == "completed"


def test_a_copy_runs_at_the_time_that_is_given() -> None:
    moment = database_now("default") + timedelta(hours=2)
    copy = copy_job(make_job(), run_at=moment)
    copy.refresh_from_db()
    assert (copy.run_at, copy.published_at) == (moment, None)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"nobody_takes": 1}, InvalidPayload),
        ({"marker": {1, 2}}, InvalidPayload),
        ({"marker": "\x00"}, InvalidPayload),
        ([], InvalidPayload),
        ({"marker": "x" * 300_000}, PayloadTooLarge),
    ],
)
def test_what_enqueue_refuses_of_a_payload_no_copy_has(payload: Any, error: type[JobQueueError]) -> None:
    with pytest.raises(error):
        copy_job(make_job(processor="sample.takes_a_number"), payload)
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"processor": "gone"}, UnknownProcessor), ({"queue": "gone"}, UnknownQueue)],
)
def test_a_job_that_nobody_could_enqueue_is_not_copied(fields: Any, error: type[JobQueueError]) -> None:
    with pytest.raises(error):
        copy_job(make_job(**fields))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidRunAt):
        copy_job(make_job(), run_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_while_a_job_waits_with_the_key_there_is_no_copy(settings: LazySettings) -> None:
    job = enqueue("sample.succeed", unique_key="once")
    with pytest.raises(UniqueKeyHeld, match=f"job {job.pk} waits"):
        copy_job(job)
    job.cancel()
    copy = copy_job(job)
    assert copy.unique_key == "once"
    assert enqueue("sample.succeed", unique_key="once").pk == copy.pk


@pytest.mark.parametrize("shape", [lambda payload: payload, lambda payload: {"marker": [payload]}])
def test_what_a_page_shows_for_hidden_values_never_becomes_a_value(shape: Any) -> None:
    job = make_job(payload={"marker": {"pia@example.com": "secret"}})
    with pytest.raises(MaskedPayload):
        copy_job(job, shape(mask_payload(job.payload)))


def test_a_value_that_looks_hidden_and_is_the_jobs_own_is_kept() -> None:
    job = make_job(payload={"marker": ["•••", "a"]})
    assert copy_job(job, {"marker": ["•••", "b"]}).payload == {"marker": ["•••", "b"]}


def test_of_two_who_copy_at_once_one_makes_a_copy() -> None:
    job = make_job()
    copy = copy_job(job, copies_seen=0)
    with pytest.raises(JobCopyRefused, match=f"as job {copy.pk}"):
        copy_job(job, copies_seen=0)
    assert copy_job(job, copies_seen=1).copied_from == job.pk


def test_a_time_that_is_past_is_refused() -> None:
    """A copy that was meant for next year would run at once."""
    job = make_job()
    with pytest.raises(PastRunAt, match=r"run_at .+ is past: a copy runs at a time ahead, or at once"):
        copy_job(job, run_at=timezone.now() - timedelta(days=365))
    assert Job.objects.get() == job
