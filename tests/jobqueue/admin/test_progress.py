"""How far running jobs say they are, and in which thread, on their pages and over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from jobqueue.broker import running
from jobqueue.broker.running import Run
from jobqueue.models import Job
from jobqueue.progress import progress_of
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import make_job, make_worker, operator, page_of, text_of
from tests.jobqueue.api.steps import get, viewer

pytestmark = pytest.mark.django_db(databases=["default", "other"])
RUNNING = "/admin/jobqueue/job/running/"


def _told(progress: Any = None, *, of_attempt: int = 1, using: str = "default") -> Job:
    """A job that runs, of which its worker told."""
    worker, now = make_worker(takes_orders=True), database_now("default")
    job = make_job("active", worker_id=worker.pk, started_at=now, deadline_at=now)
    running.tell(worker.pk.hex, running.as_text([Run(using, job.pk, of_attempt, 3, progress)]))
    return job


def _page(which: str, job: Job, *permissions: str) -> str:
    client = operator("view_job", *permissions, username=f"{which} {permissions}")
    return text_of(client.get(RUNNING if which == "running" else page_of(job)))


def _worker_of(job: Job, client: Client) -> dict[str, Any]:
    shown: dict[str, Any] = get(client, f"workers/{job.worker_id}/")
    assert shown in get(client, "workers/")["results"]
    return shown


@pytest.mark.parametrize("which", ["running", "job"])
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"done": 1200, "total": 5000, "text": "<b>rows"}, "1,200 of 5,000 (24 %): &lt;b&gt;rows"),
        ({"share": 0.999}, "99 %"),
        ({"done": 2.5}, "2.50 done"),
        ({"text": "reading"}, "reading"),
    ],
)
def test_the_page_says_how_far_a_job_is(which: str, said: dict[str, Any], shown: str) -> None:
    text = _page(which, _told(progress_of(**said)))

    assert shown in text
    assert ('max="1"' in text) == ("total" in said or "share" in said)


def test_the_pages_name_the_thread_that_runs_a_job() -> None:
    job = _told()

    assert '<td class="jq-thread">3</td>' in _page("running", job)
    assert "Thread 3." in _page("job", job)


@pytest.mark.parametrize("told", [{"of_attempt": 2}, {"using": "other"}])
def test_what_was_told_of_another_run_is_not_shown(told: dict[str, Any]) -> None:
    assert "24 %" not in _page("running", _told(progress_of(24, 100), **told))


def test_it_is_gone_when_the_job_has_ended() -> None:
    job = _told(progress_of(24, 100))
    Job.objects.filter(pk=job.pk).update(state="completed", finished_at=database_now("default"))

    assert "24 %" not in _page("job", job)
    assert get(viewer(), f"jobs/{job.pk}/")["progress"] is None


def test_addresses_are_for_who_may_read_payloads() -> None:
    job = _told(progress_of(share=0.5, text="to ann@example.org"))

    assert "ann@" not in _page("running", job)
    assert "ann@" in _page("running", job, "view_payload")


def test_the_pages_are_there_while_redis_is_away(redis_outage: str) -> None:
    worker = make_worker()
    job = make_job("active", worker_id=worker.pk, started_at=database_now("default"))

    assert f"#{job.pk}" in _page("running", job)
    assert get(viewer(), f"jobs/{job.pk}/")["thread"] is None


def test_the_api_says_how_far_a_job_is() -> None:
    job = _told(progress_of(120, 500, text="rows"))

    shown = get(viewer(), f"jobs/{job.pk}/")

    assert shown["thread"] == 3
    assert shown["progress"] == {"done": 120, "total": 500, "share": 0.24, "text": "rows"}


def test_the_api_says_of_a_worker_what_it_runs() -> None:
    job = _told(progress_of(share=0.5))

    worker = _worker_of(job, viewer())

    progress = {"done": None, "total": None, "share": 0.5, "text": ""}
    assert worker["jobs"] == [{"id": job.pk, "processor": job.processor, "thread": 3, "progress": progress}]


def test_who_may_not_see_jobs_sees_none_of_a_worker() -> None:
    worker = _worker_of(_told(progress_of(share=0.5)), operator("view_worker"))

    assert (worker["running"], worker["jobs"]) == (1, [])
