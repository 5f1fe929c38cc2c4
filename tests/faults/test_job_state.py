"""What a job leaves in its thread is not there for the next one."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from jobqueue.jobs import enqueue
from tests.conftest import StartWorker
from tests.faults.steps import ONE_JOB
from tests.workload.fixtures import Workload, wait_until_done
from tests.workload.state import STATES


def _told(workload: Workload) -> list[str]:
    return [effect.partition(": ")[2] for effect in workload.effects().elements()]


def test_a_jobs_state_does_not_outlive_it(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(*ONE_JOB, DEBUG="1", EMAIL_URL="consolemail://")
    for state in STATES:
        enqueue("workload.tell_state", name=f"{state} before", state=state)
        enqueue("workload.leave_state", name=f"{state} left", state=state)
        enqueue("workload.tell_state", name=f"{state} after", state=state)
    wait_until_done()

    told = dict(effect.split(": ", 1) for effect in workload.effects())
    before = {state: told[f"{state} before"] for state in STATES}
    assert {state: told[f"{state} after"] for state in STATES} == before
    assert before["queries"] == "0"


@pytest.mark.parametrize("how", ["atomic", "no autocommit", "begin"])
def test_a_job_that_leaves_a_transaction_open_has_failed(
    how: str, rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB)
    job = enqueue("workload.leave_transaction", name="careless", how=how)
    after = enqueue("workload.write", name="after")
    workload.open_gate("after")
    wait_until_done()

    job.refresh_from_db()
    after.refresh_from_db()
    assert (job.state, job.attempts.get().error_class) == ("failed", "TransactionLeftOpen")
    assert after.state == "completed"
    written = Group.objects.filter(name__in=["careless", "after"])
    assert list(written.values_list("name", flat=True)) == ["after"]
    assert f"job {job.pk} (workload.leave_transaction) failed" in worker.output


def test_the_clients_of_caches_are_the_threads(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(*ONE_JOB)
    for number in range(3):
        enqueue("workload.tell_cache", name=str(number))
    wait_until_done()

    assert len(set(_told(workload))) == 1
