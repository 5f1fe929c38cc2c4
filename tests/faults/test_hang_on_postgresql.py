"""One of several databases hangs: what lives in the others goes on, and nothing is doubled afterwards.

Collected on PostgreSQL only. Its processes are stopped: it takes connections, and never answers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psutil
import pytest
from django.db import connections

from jobqueue.broker import queues
from jobqueue.delivery import orders
from jobqueue.delivery.publishable import message_of
from jobqueue.jobs import enqueue
from jobqueue.models import Attempt, Job
from tests.conftest import StartWorker, wait_until
from tests.faults.crashes import CrashingPostgreSQL, running
from tests.faults.steps import QUICK, executor_of, last_for
from tests.workload.fixtures import Workload, note, wait_until_done

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.xdist_group("a PostgreSQL that hangs"),
]
LATE = timedelta(seconds=4)
"""How late a delayed job of a healthy database may be."""
BEYOND_SILENCE = 2.5 * QUICK["WORKER_SILENCE"]


class HangingPostgreSQL(CrashingPostgreSQL):
    """The other database, on a server of its own that can be stopped and let go on."""

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Meanwhile it answers nobody."""
        processes = self._processes()
        try:
            for process in processes:
                with suppress(psutil.NoSuchProcess):  # of a connection that was just closed
                    process.suspend()
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    @contextmanager
    def as_the_other(self) -> Iterator[None]:
        """Meanwhile it is the database `other` of this process."""
        other = connections["other"]
        values = {"HOST": "127.0.0.1", "PORT": self._server.port, "USER": "postgres", "NAME": "site"}
        with pytest.MonkeyPatch.context() as patch:
            other.close()
            for name, value in values.items():
                patch.setitem(other.settings_dict, name, value)
            yield
            other.close()

    def _processes(self) -> list[psutil.Process]:
        main = psutil.Process(self._server.pid)
        return [main, *main.children(recursive=True)]


@pytest.fixture(scope="module")
def _server() -> Iterator[HangingPostgreSQL]:
    with running(HangingPostgreSQL) as server:
        yield server


@pytest.fixture
def other(_server: HangingPostgreSQL, workload: Workload) -> Iterator[HangingPostgreSQL]:
    """A server with an empty database `other`."""
    _server.renew()
    with _server.as_the_other():
        yield _server


def start(rqworker: StartWorker, other: HangingPostgreSQL, *arguments: str, **options: Any) -> Any:
    """A worker that serves both databases."""
    options = {"jobqueue": QUICK} | options
    return rqworker("--processes", "1", *arguments, OTHER_DATABASE_URL=other.url, **options)


def wait_until_all_is_done() -> None:
    """Return once no job of either database waits or runs."""
    wait_until_done(30)
    wait_until(lambda: not Job.objects.using("other").unfinished().exists(), 30)


def nothing_was_doubled(workload: Workload, names: set[str]) -> bool:
    """Whether each of these had its effect once, in its first attempt."""
    for using in ("default", "other"):
        assert not Attempt.objects.using(using).exists()
        assert set(Job.objects.using(using).values_list("attempt", "state")) <= {(1, "completed")}
    assert workload.effects() == dict.fromkeys(names, 1)
    return True


def test_jobs_of_a_healthy_database_run_once_and_in_time_while_another_hangs(
    rqworker: StartWorker, workload: Workload, other: HangingPostgreSQL
) -> None:
    for _ in range(2):
        start(rqworker, other)
    names = {"slow", "slow there"}
    enqueue("workload.wait", name="slow")
    enqueue("workload.wait", name="slow there", using="other")
    for name in names:
        workload.wait_for_start(name)

    with other.hanging():
        delayed = [note(f"delayed-{number}", delay=1 + number / 2) for number in range(6)]
        plain = []
        for number in range(int(BEYOND_SILENCE / 0.25)):
            plain.append(note(f"plain-{number}"))
            last_for(0.25)
        workload.open_gate("slow there")
        names |= {job.payload["name"] for job in (*delayed, *plain)}
        workload.wait_for_effects(len(names) - 1)  # `slow` still runs
        workload.open_gate("slow")
        wait_until_done()
    wait_until_all_is_done()

    assert nothing_was_doubled(workload, names)
    for job in delayed:
        job.refresh_from_db()
        assert job.started_at is not None
        assert timedelta(0) <= job.started_at - job.run_at <= LATE


def test_messages_of_a_database_that_hangs_stand_in_nobodys_way_and_lead_to_their_jobs_afterwards(
    rqworker: StartWorker, workload: Workload, other: HangingPostgreSQL
) -> None:
    start(rqworker, other, "--threads", "2")
    note("first")
    note("first there", using="other")
    workload.wait_for_effects(2)  # its threads have their connections
    jobs = [note(f"there-{number}", using="other", delay=600) for number in range(300)]
    Job.objects.using("other").filter(processor="workload.note.email").exclude(state="completed").update(
        run_at=jobs[0].created_at, published_at=jobs[0].created_at + timedelta(seconds=5)
    )

    with other.hanging():
        queues.publish([message_of(job, "other") for job in jobs])
        note("behind them")
        workload.wait_for_effects(3, timeout=10)
        last_for(BEYOND_SILENCE)
        note("later")
        workload.wait_for_effects(4, timeout=3)
    wait_until_all_is_done()

    there = {job.payload["name"] for job in jobs}
    assert nothing_was_doubled(workload, {"first", "first there", "behind them", "later", *there})


def test_an_executor_that_dies_while_a_database_hangs_is_replaced_at_once(
    rqworker: StartWorker, workload: Workload, other: HangingPostgreSQL
) -> None:
    worker = start(rqworker, other)
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")

    with other.hanging():
        os.kill(executor_of(job, worker).pid, signal.SIGKILL)
        workload.wait_for_start("slow", timeout=10)
        workload.open_gate("slow")
        wait_until_done()

    assert workload.effects() == {"slow": 1}


def test_a_worker_stops_in_time_while_a_database_hangs(
    rqworker: StartWorker, workload: Workload, other: HangingPostgreSQL
) -> None:
    worker = start(rqworker, other, "--shutdown-timeout", "2")
    note("first")
    note("first there", using="other")
    workload.wait_for_effects(2)

    with other.hanging():
        assert worker.stop() == 0


def test_a_running_job_is_stopped_while_another_database_hangs(
    rqworker: StartWorker, workload: Workload, other: HangingPostgreSQL
) -> None:
    start(rqworker, other)
    note("there", using="other")
    workload.wait_for_effects(1)  # its threads have their connections
    job = enqueue("workload.sleep_in_loop", name="stopped")
    workload.wait_for_start("stopped")
    job.refresh_from_db()

    with other.hanging():
        orders.stop_job(job, who="anna", why="wrong amount")
        wait_until_done(10)
    job.refresh_from_db()

    assert (job.state, job.reason, job.attempt) == ("cancelled", "stopped by anna: wrong amount", 1)
    assert workload.effects() == {"there": 1}
