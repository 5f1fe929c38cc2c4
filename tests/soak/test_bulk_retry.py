"""A retry of 100,000 failed jobs from one click, on a real worker, while an operator looks at pages.

Prints what it took: `make soak ARGS="-s -k bulk_retry"`.
"""

from __future__ import annotations

import time
from datetime import timedelta

import psutil
import pytest
from django.db.models.functions import Now
from django.test import Client

from jobqueue.jobs import enqueue_many
from jobqueue.models import BulkAction, Job
from jobqueue.sql.clock import database_now
from tests.conftest import StartWorker, WorkerProcess, wait_until
from tests.workload.fixtures import Workload

pytestmark = [pytest.mark.soak, pytest.mark.django_db(transaction=True, databases=["default", "other"])]
FAILED = 100_000
CAUSES = "/admin/jobqueue/cause/"
START = "/admin/jobqueue/bulkaction/start/"
CAUSE = "EmailNotSent: SMTPRecipientsRefused 550"


def _failed_jobs(number: int) -> None:
    later = database_now("default") + timedelta(hours=1)
    for start in range(0, number, 10_000):
        names = range(start, min(start + 10_000, number))
        enqueue_many([("workload.note.email", {"name": f"job-{name}"}) for name in names], run_at=later)
    Job.objects.update(
        state=Job.State.FAILED, cause=CAUSE, attempt=4, failures=4, finished_at=Now(), started_at=Now()
    )


def _memory_of(worker: WorkerProcess) -> float:
    """Megabytes of all its processes that are its own."""
    found = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    return sum(process.memory_info().rss for process in found) / 2**20


def _seconds(client: Client, url: str) -> float:
    started = time.monotonic()
    assert client.get(url).status_code == 200
    return time.monotonic() - started


def test_100_000_failed_jobs_are_retried_and_done_within_a_minute(
    rqworker: StartWorker, workload: Workload, admin_client: Client
) -> None:
    _failed_jobs(FAILED)
    grouped = _seconds(admin_client, CAUSES)
    worker = rqworker("--processes", "2")
    before = _memory_of(worker)

    begun = time.monotonic()
    answer = {"verb": "retry", "confirmed": "retry", "cause": CAUSE, "typed": f"{FAILED}", "reason": "mended"}
    page = admin_client.post(START, answer).headers["Location"]
    click = time.monotonic() - begun
    looks: list[float] = []

    def is_walked() -> bool:
        looks.append(_seconds(admin_client, page))
        return BulkAction.objects.filter(ended_at__isnull=False).exists()

    wait_until(is_walked, timeout=300, interval=0.5)
    walked = time.monotonic() - begun
    wait_until(lambda: not Job.objects.unfinished().exists(), timeout=300, interval=0.5)
    done = time.monotonic() - begun
    grown = _memory_of(worker) - before

    print(
        f"\ngrouping {FAILED}: {grouped * 1e3:.0f} ms; click {click * 1e3:.0f} ms; walked in {walked:.1f} s;"
        f" all done in {done:.1f} s; page at most {max(looks) * 1e3:.0f} ms; worker grew by {grown:.0f} MB"
    )
    assert set(workload.effects().values()) == {1}
    assert BulkAction.objects.get().changed == FAILED == Job.objects.filter(attempt=5).count()
    assert done <= 60
