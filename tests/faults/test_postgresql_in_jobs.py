"""PostgreSQL is away, has no room, or sees a conflict while jobs run: they start anew at no cost.

Collected on PostgreSQL only (conftest.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.conftest import StartWorker
from tests.faults.proxy import Proxy
from tests.faults.steps import ONE_JOB, last_for
from tests.faults.test_postgresql import database_proxy, through
from tests.servers import subprocess_environment
from tests.workload.fixtures import Workload, note_jobs, wait_until_done

__all__ = ["database_proxy"]

SOON = {"LOST_AFTER": 2}
AWAY = 16.0
"""Seconds: the four attempts of a job that fails take seven."""
ROLE = "spendsync_limited"


def _execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _assert_at_no_cost() -> None:
    assert set(Job.objects.values_list("state", "failures")) == {("completed", 0)}


def test_a_server_that_is_away_for_longer_than_four_attempts_costs_jobs_nothing(
    rqworker: StartWorker, workload: Workload, database_proxy: Proxy
) -> None:
    rqworker("--processes", "1", DATABASE_URL=through(database_proxy), jobqueue=SOON)
    names = [f"running-{number}" for number in range(6)]
    for name in names:
        enqueue("workload.write_then", name=name)
    for name in names:
        workload.wait_for_start(name)
    queued = note_jobs(20)

    database_proxy.cut()
    for name in names[:3]:
        workload.open_gate(name)  # these meet it
    last_for(AWAY)
    database_proxy.restore()
    for name in names:
        workload.open_gate(name)

    wait_until_done(40)
    _assert_at_no_cost()
    assert Group.objects.filter(name__in=names).count() == len(names)
    assert workload.effects() == Counter([*names, *queued])


@pytest.fixture
def limited_url(workload: Workload) -> Iterator[str]:
    """The test database's URL for a role whose connections may be limited."""
    _drop_role()
    _execute(
        f"CREATE ROLE {ROLE} LOGIN",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}",
    )
    parts = urlsplit(subprocess_environment()["DATABASE_URL"])
    yield urlunsplit(parts._replace(netloc=f"{ROLE}@{parts.hostname}:{parts.port or 5432}"))
    _execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'")
    _drop_role()


def _drop_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE])
        if cursor.fetchone():
            cursor.execute(f"DROP OWNED BY {ROLE}")
            cursor.execute(f"DROP ROLE {ROLE}")


def test_too_many_clients_cost_a_job_nothing(
    rqworker: StartWorker, workload: Workload, limited_url: str
) -> None:
    worker = rqworker(*ONE_JOB, DATABASE_URL=limited_url, jobqueue=SOON)
    enqueue("workload.write_then", name="crowded out")
    workload.wait_for_start("crowded out")

    _execute(
        f"ALTER ROLE {ROLE} CONNECTION LIMIT 0",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'",
    )
    workload.open_gate("crowded out")
    worker.wait_for_line("too many connections for role")
    _execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
    workload.open_gate("crowded out")

    wait_until_done()
    _assert_at_no_cost()
    assert Group.objects.filter(name="crowded out").count() == 1
    assert workload.effects() == {"crowded out": 1}


def test_a_conflict_with_another_transaction_costs_a_job_nothing(
    rqworker: StartWorker, workload: Workload
) -> None:
    group = Group.objects.create(name="together")
    worker = rqworker(*ONE_JOB, jobqueue=SOON)
    enqueue("workload.rename", name="together")
    workload.wait_for_start("together")

    Group.objects.filter(pk=group.pk).update(name="together with others")
    for _ in range(2):
        workload.open_gate("together")

    wait_until_done()
    _assert_at_no_cost()
    worker.wait_for_line("waits for the database: OperationalError: could not serialize access")
    group.refresh_from_db()
    assert group.name == "together with others renamed"
    assert workload.effects() == {"together": 1}


def test_a_process_of_multiprocessing_reads_by_a_connection_of_its_own(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(*ONE_JOB)
    job = enqueue("workload.multiprocessing", name="pool", reads=True)
    workload.wait_for_start("pool")
    workload.wait_for_effects(2)
    workload.open_gate("pool")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    assert workload.effects()["pool read 1"] == 1
