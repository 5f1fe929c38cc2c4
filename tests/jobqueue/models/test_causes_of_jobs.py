"""The cause on a job's row: written when it ends failed, by whatever verb, and gone with a retry."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import Count, Max, Min

from jobqueue.delivery import rescue
from jobqueue.jobs import enqueue
from jobqueue.models import Job, transitions
from tests.jobqueue.models.steps import in_state
from tests.jobqueue.processors_for_tests import FAIL_WITHOUT_RETRY, SUCCEED
from tests.jobqueue.steps import IDENTITY, claimed, make_worker, run

pytestmark = pytest.mark.django_db


def _cause_of(job: Job) -> str:
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    return job.cause


def test_a_job_that_failed_in_its_worker_has_the_cause_of_its_error() -> None:
    job = claimed(FAIL_WITHOUT_RETRY)
    run(job)
    assert _cause_of(job).startswith("Broken: ")


def test_a_job_that_an_operator_failed_has_a_cause() -> None:
    job = claimed()
    rescue.fail(Job.objects.filter(pk=job.pk), "failed by anna: pia@example.com asked for it")
    assert _cause_of(job) == "failed by an operator"


def test_jobs_of_different_lost_workers_have_one_cause() -> None:
    make_worker(silent_for=60, name="one-name")
    job = claimed(FAIL_WITHOUT_RETRY, identity=IDENTITY)
    rescue.rescue_lost("default")
    assert _cause_of(job) == "JobInterrupted: worker … is gone: no sign of life"


def test_a_job_that_was_set_aside_has_a_cause() -> None:
    job = enqueue(SUCCEED)
    transitions.set_aside(Job.objects.filter(pk=job.pk), "no message can carry its id 99999")
    assert _cause_of(job) == "set aside: no message can carry its id #"


def test_the_verb_names_the_cause_itself_where_nobody_else_does() -> None:
    job = claimed()
    transitions.fail(Job.objects.all(), job, IDENTITY.id, failures=1, reason="OSError: no disk 7")
    assert _cause_of(job) == "OSError: no disk #"


def test_a_retried_job_has_no_cause_any_more() -> None:
    job = in_state("failed")
    Job.objects.filter(pk=job.pk).update(cause="OSError")
    job.retry()
    assert job.cause == ""


def test_a_row_that_older_code_wrote_has_an_empty_cause() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO jobqueue_job"
            " (processor, queue, payload, subject, timeout, state, attempt, failures, reason)"
            " VALUES ('p', 'email', '{}', '', 1, 'failed', 1, 1, '')"
        )
    assert Job.objects.get().cause == ""


@pytest.mark.parametrize("is_walk", [False, True])
def test_the_index_of_causes_serves_grouping_and_walking(is_walk: bool) -> None:
    failed = Job.objects.failed().order_by()
    grouped = failed.values("cause").annotate(
        jobs=Count("pk"), first=Min("finished_at"), last=Max("finished_at")
    )
    walked = failed.filter(cause="OSError", pk__gt=17).order_by("pk").values_list("pk")[:500]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Of no rows at all every index is as good, and so is sorting them.
            for way in ("seqscan", "bitmapscan", "sort", "hashagg"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
    assert "jobqueue_job_cause" in (walked if is_walk else grouped).explain()
