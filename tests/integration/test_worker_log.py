"""What a worker says in a terminal: in a project that has set up no logging, and in one that has."""

from __future__ import annotations

import json

import pytest

from jobqueue.jobs import enqueue
from tests.conftest import StartWorker
from tests.faults.steps import ONE_JOB
from tests.workload.fixtures import Workload, wait_until_done

pytestmark = pytest.mark.one_database
NONE = "{}"
OF_THE_ROOT = json.dumps(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"format": "project: %(levelname)s %(name)s %(message)s"}},
        "handlers": {"ours": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "root": {"handlers": ["ours"], "level": "INFO"},
    }
)
OF_OUR_LOGGER = json.dumps(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"ours": {"class": "logging.StreamHandler"}},
        "loggers": {"jobqueue": {"handlers": ["ours"], "level": "ERROR"}},
    }
)


def test_without_logging_a_worker_says_what_it_is_and_what_fails(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB, TEST_LOGGING=NONE)
    job = enqueue("workload.fail_unspeakably", name="broken")
    wait_until_done()
    worker.stop()

    said = worker.output
    assert said.count("queues:    email, reminders, settlement") == 1
    assert "databases: default" in said
    assert "Redis:     127.0.0.1:" in said
    assert "(1 processes of 1 threads)" in said
    assert "Ctrl-C or SIGTERM" in said
    assert said.count(f"WARNING jobqueue.jobs job {job.pk} (workload.fail_unspeakably) failed") == 1
    assert said.count(f"ERROR jobqueue.jobs job {job.pk} (workload.fail_unspeakably) failed") == 1
    assert said.count("Traceback (most recent call last)") == 1
    assert said.count(" ready: listening on ") == 1


def test_a_quiet_worker_says_only_what_is_wrong(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker(*ONE_JOB, "--verbosity", "0", TEST_LOGGING=NONE, wait=False)
    enqueue("workload.fail_unspeakably", name="broken")
    wait_until_done()
    worker.stop()

    assert "INFO" not in worker.output and "queues:" not in worker.output
    assert "ERROR jobqueue.jobs" in worker.output


def test_a_project_with_logging_of_its_own_gets_each_line_once_and_no_banner(
    rqworker: StartWorker, workload: Workload
) -> None:
    worker = rqworker(*ONE_JOB, TEST_LOGGING=OF_THE_ROOT)
    worker.stop()

    lines = worker.output.splitlines()
    assert all(line.startswith("project: ") for line in lines)
    assert len(lines) == len(set(lines))


def test_a_projects_level_for_our_log_holds(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker(*ONE_JOB, TEST_LOGGING=OF_OUR_LOGGER, wait=False)
    job = enqueue("workload.fail_unspeakably", name="broken")
    wait_until_done()
    worker.stop()

    assert worker.output.startswith(f"job {job.pk} (workload.fail_unspeakably) failed in attempt 2")
