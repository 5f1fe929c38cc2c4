"""Which entries of the audit are about a job."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobqueue.models import AuditEntry, Job
from jobqueue.models.audit import entries_about, entries_of_job
from tests.jobqueue.admin.steps import make_job
from tests.jobqueue.moments import ahead_by_its_clock

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_an_action_on_several_at_the_very_moment_that_made_a_job_is_about_it() -> None:
    job = make_job()
    entry = AuditEntry.objects.create(
        verb="Copy", object_type=Job._meta.label_lower, jobs=2, job_ids=[job.pk, job.pk + 1]
    )
    Job.objects.update(created_at=ahead_by_its_clock(timedelta(hours=-1)))
    job.refresh_from_db()
    AuditEntry.objects.update(at=Job.objects.filter(pk=job.pk).values("created_at"))
    assert entries_of_job(job, 5, 5) == [entry]
    assert entries_about({}, [job], 5, 5) == [entry]
