"""A retry of 100,000 failed jobs from one click, on a real worker, while an operator looks at pages.

Prints what it took: `make soak ARGS="-s -k bulk_retry"`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import psutil
import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from benchmarks.console_pages import LIST, OVERVIEW
from benchmarks.figures import percentile
from jobqueue.conf import Settings
from jobqueue.jobs import enqueue_many
from jobqueue.models import BulkAction, Job
from jobqueue.sql.clock import database_now
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload

if TYPE_CHECKING:
    from django.conf import LazySettings

pytestmark = [pytest.mark.soak, pytest.mark.django_db(transaction=True, databases=["default", "other"])]
FAILED = 100_000
MOST_SECONDS = 60
MOST_GROWTH = 50
"""Megabytes by which the worker and the web process may grow."""
CAUSES = "/admin/jobqueue/cause/"
LIMITS = {
    "/admin/jobqueue/": OVERVIEW,
    "/admin/jobqueue/job/": LIST,
    "/admin/jobqueue/failedjob/": LIST,
    CAUSES: LIST,
}
"""Milliseconds that 95 of 100 looks at a page may take meanwhile."""
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
    if connection.vendor == "postgresql":  # they did not fail a moment ago: autovacuum was there since
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE jobqueue_job")


def _memory_of(pid: int, *, with_children: bool) -> float:
    """Megabytes of a process, and of those that it started."""
    process = psutil.Process(pid)
    found = [process, *(process.children(recursive=True) if with_children else [])]
    return sum(one.memory_info().rss for one in found) / 2**20


def _seconds(client: Client, url: str) -> float:
    started = time.monotonic()
    assert client.get(url).status_code == 200
    return time.monotonic() - started


def _over_their_limit(looks: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The pages of which more than 5 of 100 looks took longer than they may, with what these took."""
    slow = {page: percentile(times, 95) for page, times in looks.items()}
    return {page: seconds for page, seconds in slow.items() if seconds * 1e3 > LIMITS[page]}


def test_100_000_failed_jobs_are_retried_and_done_within_a_minute(
    rqworker: StartWorker, workload: Workload, admin_client: Client, settings: LazySettings
) -> None:
    # As the site is installed: a page that looks into another database opens a connection to it.
    settings.JOBQUEUE = {**settings.JOBQUEUE, "DATABASES": ["default"]}
    _failed_jobs(FAILED)
    for page in LIMITS:  # what is read once is not what a retry makes a process grow by
        _seconds(admin_client, page)
    worker = rqworker("--processes", "2", jobqueue={"NICENESS": Settings().niceness})  # as it is installed
    worker_before = _memory_of(worker.pid, with_children=True)
    web_before = _memory_of(os.getpid(), with_children=False)

    begun = time.monotonic()
    answer = {"verb": "retry", "confirmed": "retry", "cause": CAUSE, "typed": f"{FAILED}", "reason": "mended"}
    page = admin_client.post(START, answer).headers["Location"]
    click = time.monotonic() - begun
    looks: dict[str, list[float]] = {address: [] for address in LIMITS}

    def look() -> None:
        for address, times in looks.items():
            times.append(_seconds(admin_client, address))
        assert admin_client.get(page).status_code == 200

    def is_walked() -> bool:
        look()
        return BulkAction.objects.filter(ended_at__isnull=False).exists()

    def are_all_done() -> bool:
        look()
        return not Job.objects.unfinished().exists()

    wait_until(is_walked, timeout=300, interval=0.5)
    walked = time.monotonic() - begun
    wait_until(are_all_done, timeout=300, interval=0.5)
    done = time.monotonic() - begun
    worker_grew = _memory_of(worker.pid, with_children=True) - worker_before
    web_grew = _memory_of(os.getpid(), with_children=False) - web_before

    shown = {page: f"{percentile(times, 95) * 1e3:.0f} ms" for page, times in looks.items()}
    print(
        f"\nclick {click * 1e3:.0f} ms; walked in {walked:.1f} s; all done in {done:.1f} s; worker grew by"
        f" {worker_grew:.0f} MB, web by {web_grew:.0f} MB; p95 of {len(looks[CAUSES])} looks: {shown}"
    )
    assert set(workload.effects().values()) == {1}
    assert BulkAction.objects.get().changed == FAILED == Job.objects.filter(attempt=5).count()
    assert done <= MOST_SECONDS
    assert _over_their_limit(looks) == {}
    assert worker_grew < MOST_GROWTH
    assert web_grew < MOST_GROWTH
