"""PostgreSQL's connections break, or the server goes away for a while: jobs go on, nothing is lost.

Collected on PostgreSQL only (conftest.py).
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models.functions import Now

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Worker
from jobqueue.sql.clock import database_now
from tests.conftest import StartWorker, wait_until
from tests.faults.proxy import Proxy
from tests.servers import subprocess_environment
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

# So that a test does not wait for 15 seconds until a message counts as lost.
SOON = {"LOST_AFTER": 2, "HEARTBEAT_INTERVAL": 1, "WORKER_SILENCE": 10}


@pytest.fixture
def database_proxy() -> Iterator[Proxy]:
    """Between the workers and PostgreSQL."""
    server = urlsplit(os.environ["TEST_DATABASE_URL"])
    assert server.hostname is not None
    proxy = Proxy(server.hostname, server.port or 5432)
    yield proxy
    proxy.cut()


def through(proxy: Proxy) -> str:
    """The test database's URL by way of the proxy."""
    parts = urlsplit(subprocess_environment()["DATABASE_URL"])
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{proxy.port}"))


def terminate_other_connections() -> int:
    """Break every connection to the test database but our own; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        count: int = cursor.fetchone()[0]
    return count


def test_an_idle_worker_whose_connections_break_goes_on(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker(jobqueue=SOON)
    note("before")
    workload.wait_for_effects(1)

    assert terminate_other_connections() > 0
    note("after")

    workload.wait_for_effects(2, timeout=10)
    wait_until_done()
    assert worker.stop() == 0


def test_connections_broken_under_load_lose_nothing(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(jobqueue=SOON)
    names = []
    for number in range(6):
        names += note_jobs(40, prefix=f"round-{number}")
        workload.wait_for_effects(len(names) - 30)
        terminate_other_connections()

    wait_until_done()

    # An outcome that could not be written is written again: no job of these had to run twice.
    assert workload.effects() == Counter(names)


def test_a_job_whose_transaction_breaks_is_tried_again(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(jobqueue=SOON)
    job = enqueue("workload.write", name="interrupted")
    workload.wait_for_start("interrupted")
    terminate_other_connections()
    for _ in range(2):
        workload.open_gate("interrupted")

    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.failures) == ("completed", 0)
    assert Group.objects.filter(name="interrupted").count() == 1


def test_a_job_that_ends_while_the_database_is_away_is_settled_when_it_is_back(
    rqworker: StartWorker, workload: Workload, database_proxy: Proxy
) -> None:
    worker = rqworker(DATABASE_URL=through(database_proxy), jobqueue=SOON)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    database_proxy.cut()
    workload.open_gate("slow")
    worker.wait_for_line("cannot settle 1 jobs for now")

    database_proxy.restore()

    wait_until_done()
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)
    assert workload.effects() == {"slow": 1}


def test_the_threads_survive_jobs_that_meet_a_database_that_is_away(
    rqworker: StartWorker, workload: Workload, database_proxy: Proxy
) -> None:
    worker = rqworker(
        "--processes", "1", "--threads", "1", DATABASE_URL=through(database_proxy), jobqueue=SOON
    )
    job = enqueue("workload.write", name="interrupted")
    workload.wait_for_start("interrupted")
    database_proxy.cut()
    for _ in range(2):
        workload.open_gate("interrupted")
    worker.wait_for_line("cannot settle 1 jobs for now")

    database_proxy.restore()

    wait_until_done()
    job.refresh_from_db()
    assert (job.state, job.failures) == ("completed", 0)


def test_a_database_that_is_away_for_a_while_loses_nothing(
    rqworker: StartWorker, workload: Workload, database_proxy: Proxy
) -> None:
    worker = rqworker(DATABASE_URL=through(database_proxy), jobqueue=SOON)
    names = note_jobs(60, prefix="before")
    workload.wait_for_effects(10)
    database_proxy.cut()
    names += note_jobs(30, prefix="during")
    threading.Event().wait(3)  # the fault itself

    database_proxy.restore()

    names += note_jobs(30, prefix="after")
    wait_until_done()
    assert workload.effects() == Counter(names)
    assert worker.is_running()


def test_an_executor_replaced_while_the_database_is_away_waits_for_it(
    rqworker: StartWorker, workload: Workload, database_proxy: Proxy
) -> None:
    worker = rqworker("--processes", "1", DATABASE_URL=through(database_proxy), jobqueue=SOON)
    (executor,) = worker.children()
    database_proxy.cut()
    executor.kill()
    worker.wait_for_line("waiting for the database")

    database_proxy.restore()

    note("after")
    workload.wait_for_effects(1, timeout=10)
    assert worker.stop() == 0


def test_a_worker_stops_in_time_while_the_database_is_away(
    rqworker: StartWorker, workload: Workload, database_proxy: Proxy
) -> None:
    worker = rqworker("--shutdown-timeout", "1", DATABASE_URL=through(database_proxy), jobqueue=SOON)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    database_proxy.cut()

    assert worker.stop() == 0

    rqworker(
        jobqueue={"HEARTBEAT_INTERVAL": 0.5, "WORKER_SILENCE": 2}
    )  # it rescues what could not be handed back
    workload.wait_for_start("slow", timeout=15)
    workload.open_gate("slow")
    wait_until_done()
    job.refresh_from_db()
    assert job.state == "completed"


def test_a_locked_row_does_not_hold_up_the_others(rqworker: StartWorker, workload: Workload) -> None:
    from django.db import transaction

    locked = note("locked")
    names = [f"free-{number}" for number in range(10)]
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=locked.pk)
        for name in names:
            enqueue_in_another_thread(name)
        rqworker(jobqueue=SOON)
        workload.wait_for_effects(10)

    workload.wait_for_effects(11)
    wait_until_done()
    assert workload.effects() == Counter([*names, "locked"])


def enqueue_in_another_thread(name: str) -> None:
    """Commit a job while this thread's transaction is open."""

    def run() -> None:
        note(name)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_the_worker_closes_the_connections_it_opened(rqworker: StartWorker, workload: Workload) -> None:
    worker = rqworker()
    note_jobs(60)
    workload.wait_for_effects(60)
    worker.stop()

    def others() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            count: int = cursor.fetchone()[0]
        return count

    wait_until(lambda: others() == 0, timeout=5)


def test_a_running_job_is_not_doubled_after_the_database_was_away_for_longer_than_silence_is_borne(
    rqworker: StartWorker, workload: Workload, database_proxy: Proxy
) -> None:
    impatient = {"HEARTBEAT_INTERVAL": 0.5, "WORKER_SILENCE": 2}
    for _ in range(2):
        rqworker("--processes", "1", DATABASE_URL=through(database_proxy), jobqueue=impatient)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    begin = Worker.objects.order_by("heartbeat_at").last()
    assert begin is not None

    database_proxy.cut()
    wait_until(lambda: database_now("default") - begin.heartbeat_at > timedelta(seconds=4))
    database_proxy.restore()
    wait_until(lambda: Worker.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=1)).count() == 2)
    workload.open_gate("slow")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("completed", 1, 0)
    assert len(workload.start_times("slow")) == 1


@pytest.fixture
def slow_to_publish() -> Iterator[None]:
    """Whoever writes that a job is published holds its row for half a second."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION hold_the_row() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER hold_the_row BEFORE UPDATE OF published_at ON jobqueue_job"
            " FOR EACH ROW EXECUTE FUNCTION hold_the_row()"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER hold_the_row ON jobqueue_job")
        cursor.execute("DROP FUNCTION hold_the_row")


def test_what_redis_lost_is_lost_once_though_its_row_is_slow_to_write(
    rqworker: StartWorker, workload: Workload, slow_to_publish: None, redis_client: redis.Redis
) -> None:
    names = note_jobs(3)
    redis_client.flushdb()
    worker = rqworker(jobqueue=SOON)

    wait_until_done()

    assert workload.effects() == Counter(names)
    assert worker.output.count("that Redis had lost") == 1
