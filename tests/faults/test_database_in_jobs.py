"""A database is away, or locked, just when a job needs it: the job starts anew, and it costs no attempt.

What only a server has is in `test_postgresql_in_jobs.py`. Here the job's own database is a SQLite file of the
project's, beside the one that the jobs are in: Django's connection "other".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload, note, wait_until_done

OURS = {"DATABASES": ["default"], "RECONCILE_INTERVAL": 0}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A SQLite file that jobs write to."""
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE auth_group (id integer primary key, name text unique)")
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """This process writes to the file, and takes its time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def names_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM auth_group ORDER BY name")]


def _assert_at_no_cost(job: Job) -> None:
    wait_until_done()
    job.refresh_from_db()
    assert (job.state, job.failures) == ("completed", 0)
    assert job.attempt > 1


def test_a_job_that_finds_its_database_locked_starts_anew_at_no_cost(
    rqworker: StartWorker, workload: Workload, ledger: Path
) -> None:
    worker = rqworker(OTHER_DATABASE_URL=f"sqlite:///{ledger}?timeout=0", jobqueue=OURS)
    with locked(ledger):
        job = enqueue("workload.write_elsewhere", name="entry")
        for _ in range(3):
            workload.wait_for_start("entry")
        worker.wait_for_line("waits for the database: OperationalError: database is locked")
        note("another")
        wait_until(lambda: workload.effects() == {"another": 1})  # nobody waits with it

    _assert_at_no_cost(job)
    assert names_in(ledger) == ["entry"]
    assert workload.effects() == {"another": 1, "entry": 1}


def test_after_the_time_set_it_fails_and_a_retry_by_hand_finds_it_open(
    rqworker: StartWorker, workload: Workload, ledger: Path
) -> None:
    impatient = OURS | {"OUTAGE_RETRY_FOR": 1}
    rqworker(OTHER_DATABASE_URL=f"sqlite:///{ledger}?timeout=0", jobqueue=impatient)
    with locked(ledger):
        job = enqueue("workload.write_elsewhere", name="entry")
        wait_until_done()
        job.refresh_from_db()
        assert (job.state, job.failures) == ("failed", 2)
    assert "database is locked" in job.reason

    job.retry()

    workload.wait_for_effects(1)
    assert names_in(ledger) == ["entry"]
