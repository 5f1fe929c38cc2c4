"""The worker and the `enqueue` of an older commit on today's schema, beside today's code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobqueue.jobs import enqueue
from jobqueue.models import Attempt, Job
from tests.conftest import StartWorker
from tests.faults.steps import ONE_JOB
from tests.older_code import older_code
from tests.servers import subprocess_environment
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.xdist_group("older code")  # they share what takes long to make

_ENQUEUE = """
from jobqueue.jobs import enqueue, enqueue_many
enqueue_many(("workload.note.email", {"name": f"older-{number}"}) for number in range(40))
enqueue("workload.note.reminders", name="older-delayed", delay=0.5)
enqueue("workload.note.settlement", name="older-unique", unique_key="once")
enqueue("workload.note.settlement", name="older-unique", unique_key="once")
"""
_NAMES_OF_OLDER = [*(f"older-{number}" for number in range(40)), "older-delayed", "older-unique"]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the older code."""
    return older_code(tmp_path_factory.mktemp("older"))


@pytest.fixture
def _enqueued_by_older_code(older: Path, workload: Workload) -> None:
    environment = subprocess_environment(OTHER_DATABASE_URL="", WORKLOAD_REDIS_URL=workload.url)
    shell = [sys.executable, "manage.py", "shell", "-v", "0", "-c", _ENQUEUE]
    subprocess.run(shell, cwd=older, env=environment, check=True)


@pytest.mark.usefixtures("_enqueued_by_older_code")
def test_an_older_worker_runs_what_older_and_newer_code_enqueued(
    older: Path, rqworker: StartWorker, workload: Workload
) -> None:
    names = note_jobs(60)
    note("delayed", delay=0.5)
    failing = enqueue("workload.fail_fast", name="unlucky")

    worker = rqworker(*ONE_JOB, code=older)
    wait_until_done()

    assert workload.effects() == dict.fromkeys([*names, "delayed", *_NAMES_OF_OLDER], 1)
    failing.refresh_from_db()
    assert (failing.state, failing.failures) == ("failed", 4)
    assert worker.stop() == 0


@pytest.mark.usefixtures("_enqueued_by_older_code")
def test_a_newer_worker_runs_what_older_code_enqueued(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(*ONE_JOB)
    wait_until_done()

    assert workload.effects() == dict.fromkeys(_NAMES_OF_OLDER, 1)
    assert not Attempt.objects.exists()


@pytest.mark.usefixtures("_enqueued_by_older_code")
def test_older_and_newer_workers_side_by_side_lose_and_double_nothing(
    older: Path, rqworker: StartWorker, workload: Workload
) -> None:
    old = rqworker(*ONE_JOB, code=older)
    names = note_jobs(60, prefix="first")
    new = rqworker(*ONE_JOB)
    names += note_jobs(60, prefix="second")
    assert old.stop() == 0
    names += note_jobs(30, prefix="third")
    wait_until_done()

    assert workload.effects() == dict.fromkeys([*names, *_NAMES_OF_OLDER], 1)
    assert not Job.objects.exclude(attempt=1).exists()
    assert new.stop() == 0
