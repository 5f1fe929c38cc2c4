"""Steps that the tests of the rows take."""

from __future__ import annotations

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.jobqueue.processors_for_tests import SUCCEED

State = Job.State


def in_state(state: str) -> Job:
    job = enqueue(SUCCEED)
    Job.objects.filter(pk=job.pk).update(state=state)
    job.refresh_from_db()
    return job


def all_states() -> dict[str, Job]:
    return {state: in_state(state) for state in State.values} | {"delayed": enqueue(SUCCEED, delay=600)}
