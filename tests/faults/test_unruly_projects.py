"""Logging and listeners of a project that raise in a worker: no executor ends, and no outcome is lost."""

from __future__ import annotations

import json

import pytest

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.conftest import StartWorker
from tests.workload import unruly
from tests.workload.fixtures import Workload, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database


def _run_jobs(workload: Workload) -> None:
    names = note_jobs(20)
    enqueue("workload.fail_fast", name="failing")
    enqueue("workload.later", name="later", seconds=0.1)
    wait_until_done()

    assert set(workload.effects()) == {*names, "later"}
    assert workload.effects()["later"] == 1
    failed = Job.objects.get(state="failed")
    assert (failed.failures, failed.attempts.count()) == (4, 4)
    assert set(Job.objects.exclude(pk=failed.pk).values_list("state", "failures")) == {("completed", 0)}


@pytest.mark.parametrize("error", ["ValueError", "SystemExit"])
@pytest.mark.parametrize("kind", ["handler", "filter"])
def test_a_handler_or_filter_that_raises_ends_no_executor(
    rqworker: StartWorker, workload: Workload, kind: str, error: str
) -> None:
    logging = json.dumps(unruly.logging_with(kind, error))
    worker = rqworker("--processes", "1", TEST_LOGGING=logging)

    _run_jobs(workload)

    assert worker.stop() == 0
    assert f"a filter or handler of the logger 'jobqueue.jobs' raised {error}" in worker.output
    assert "ended with code" not in worker.output


@pytest.mark.parametrize("error", sorted(unruly.ERRORS))
def test_a_listener_that_raises_ends_no_executor(
    rqworker: StartWorker, workload: Workload, error: str
) -> None:
    worker = rqworker("--processes", "1", WORKLOAD_LISTENERS_RAISE=error)

    _run_jobs(workload)

    assert worker.stop() == 0
    assert "listener <function connect.<locals>.listener" in worker.output
    assert "ended with code" not in worker.output
