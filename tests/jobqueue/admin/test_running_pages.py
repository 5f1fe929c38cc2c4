"""Who runs what now; stopping jobs, quieting and stopping workers: who may, what is said, what is written."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.admin import running_pages
from jobqueue.models import Job, Worker
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import (
    WORKERS,
    entries_of,
    ids_of,
    make_job,
    make_worker,
    operator,
    page_of,
    text_of,
)
from tests.jobqueue.api.steps import get

pytestmark = pytest.mark.django_db(databases=["default", "other"])
RUNNING = "/admin/jobqueue/job/running/"


def _running(worker: Worker | None = None, **fields: Any) -> Job:
    worker = worker or make_worker(takes_orders=True)
    now = database_now("default")
    return make_job("active", worker_id=worker.pk, started_at=now, deadline_at=now, **fields)


def _stop(client: Client, job: Job, reason: str = "") -> list[str]:
    response = client.post(f"/admin/jobqueue/job/{job.pk}/stop/", {"reason": reason}, follow=True)
    return [str(message) for message in response.context["messages"]]


def _order(client: Client, worker: Worker, order: str) -> list[str]:
    url = f"/admin/jobqueue/job/worker/{worker.pk}/order/"
    response = client.post(url, {"order": order}, follow=True)
    return [str(message) for message in response.context["messages"]]


def test_each_running_job_stands_with_its_worker() -> None:
    job = _running()
    text = text_of(operator("view_job").get(RUNNING))

    assert f"#{job.pk}" in text
    assert "1 job runs now." in text
    assert "<progress" in text


def test_more_jobs_than_threads_are_told_apart() -> None:
    worker = make_worker(takes_orders=True, threads=2)
    for _number in range(5):
        _running(worker)
    text = text_of(operator("view_job").get(RUNNING))

    assert "Workers have claimed 5 jobs; 3 of them are more than their threads run at once" in text
    assert "5 jobs run now" not in text


def test_a_job_whose_worker_has_no_row_is_shown_as_of_workers_that_are_gone() -> None:
    job = _running()
    Worker.objects.all().delete()

    text = text_of(operator("view_job").get(RUNNING))
    assert "Workers that are gone" in text
    assert f"#{job.pk}" in text


def test_the_page_asks_no_more_for_more_jobs() -> None:
    client, worker = (
        operator("view_worker", "view_job", "stop_job", "quiet_worker", "stop_worker"),
        make_worker(takes_orders=True),
    )
    counts = []
    for number in (1, 20):
        for _ in range(number):
            _running(worker)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(RUNNING)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 15


def test_a_stop_is_asked_for_once_and_written_down_once() -> None:
    job, client = _running(), operator("view_job", "stop_job", username="anna")
    first = _stop(client, job, "wrong amount")
    second = _stop(operator("view_job", "stop_job", username="ben"), job)

    job.refresh_from_db()
    assert (job.state, job.stop_reason) == ("active", "stopped by anna: wrong amount")
    assert "Its stop is asked for" in first[0]
    assert "is being stopped already: stopped by anna" in second[0]
    assert len(entries_of(job)) == 1
    assert "Stopping for" in text_of(client.get(page_of(job)))


def test_the_page_of_a_job_is_refreshed_also_after_it_has_ended() -> None:
    job, client = _running(), operator("view_job")
    first = client.get(page_of(job), headers={"X-Jobqueue-Live": "1"})
    assert first.headers["ETag"]
    assert text_of(first).count("data-region-seconds") == 5
    Job.objects.filter(pk=job.pk).update(state="completed", finished_at=database_now("default"))
    assert text_of(client.get(page_of(job))).count("data-region-seconds") == 5


@pytest.mark.parametrize("state", ["waiting", "completed", "failed", "cancelled"])
def test_a_job_that_does_not_run_is_not_stopped_and_the_page_says_why(state: str) -> None:
    job = make_job(state)

    assert f"is {state} and cannot be stopped" in _stop(operator("view_job", "stop_job"), job)[0]
    job.refresh_from_db()
    assert job.stop_asked_at is None


def test_a_job_of_an_older_worker_is_not_stopped_and_the_page_says_why() -> None:
    job = _running(make_worker())

    assert "older version" in _stop(operator("view_job", "stop_job"), job)[0]


def test_a_job_of_a_silent_worker_is_not_stopped_and_the_page_says_why() -> None:
    job = _running(make_worker(silent_for=300, takes_orders=True))

    assert "its worker is gone" in _stop(operator("view_job", "stop_job"), job)[0]


@pytest.mark.parametrize("method", ["get", "post"])
def test_who_may_not_stop_jobs_is_refused(method: str) -> None:
    job, client = _running(), operator("view_job")

    assert getattr(client, method)(f"/admin/jobqueue/job/{job.pk}/stop/").status_code == 403
    assert f"/job/{job.pk}/stop/" not in text_of(client.get(page_of(job)))


def test_a_job_that_is_not_there_is_not_found() -> None:
    client = operator("view_job", "stop_job")

    assert client.get("/admin/jobqueue/job/4711/stop/").status_code == 404
    assert client.get("/admin/jobqueue/job/99999999999999999999999/stop/").status_code == 404


def test_the_page_before_a_stop_says_what_it_means() -> None:
    job = _running()
    text = text_of(operator("view_job", "stop_job").get(f"/admin/jobqueue/job/{job.pk}/stop/"))

    assert "It ends as cancelled and is not retried" in text


def test_all_processes_of_a_worker_are_quieted_and_resumed_together() -> None:
    first, second = (
        make_worker(name=f"web.{n}", hostname="a", supervisor_pid=7, takes_orders=True) for n in (1, 2)
    )
    other = make_worker(name="other", hostname="b", supervisor_pid=7, takes_orders=True)
    client = operator("view_worker", "view_job", "quiet_worker", "resume_worker")

    said = _order(client, first, "quiet")[0]
    assert said == "Quiet: 2 processes of the worker (web.1, web.2) is asked for."
    assert set(Worker.objects.filter(quiet_asked_at__isnull=False)) == {first, second}
    assert "already" in _order(client, second, "quiet")[0]
    assert "is asked for" in _order(client, second, "resume")[0]
    assert not Worker.objects.filter(quiet_asked_at__isnull=False).exists()
    assert LogEntry.objects.count() == 2
    assert Worker.objects.get(pk=other.pk).stop_asked_at is None


def test_an_older_worker_takes_no_orders_and_the_page_says_so() -> None:
    worker, client = make_worker(), operator("view_worker", "view_job", "stop_worker")

    assert "older version" in _order(client, worker, "stop")[0]
    assert "It runs an older version" in text_of(client.get(RUNNING))


def test_who_may_not_give_that_order_to_workers_is_refused() -> None:
    worker = make_worker(takes_orders=True)
    url = f"/admin/jobqueue/job/worker/{worker.pk}/order/"

    client = operator("view_worker", "view_job", "quiet_worker")
    assert client.post(url, {"order": "stop"}).status_code == 403
    assert client.post(url, {"order": "dance"}).status_code == 404
    assert client.get(url).status_code == 405


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "alive"),
        ({"quiet_asked_at": True}, "quiet"),
        ({"stop_asked_at": True}, "stopping"),
        ({"stopping": True}, "stopping"),
        ({"stopping": True, "quiet_asked_at": True}, "stopping"),
        ({"stopping": True, "silent_for": 300}, "silent"),
    ],
)
def test_a_worker_stands_the_same_on_both_pages_and_over_http(fields: dict[str, Any], word: str) -> None:
    now = database_now("default")
    worker = make_worker(
        takes_orders=True, **{name: now if name.endswith("_at") else value for name, value in fields.items()}
    )
    _running(worker)
    client = operator("view_job", "view_worker", "quiet_worker", "stop_worker")
    shown = {"quiet": "paused"}.get(word, word)
    badge = f'<span class="jq-badge jq-{shown}">{word}</span>'
    assert badge in text_of(client.get(RUNNING))
    assert badge in text_of(client.get(WORKERS))
    [told] = get(client, "workers/")["results"]
    assert told["state"] == word


def test_a_worker_that_ends_is_offered_no_orders() -> None:
    make_worker(takes_orders=True, stopping=True)
    client = operator("view_job", "view_worker", "quiet_worker", "stop_worker")
    for url in (RUNNING, WORKERS):
        text = text_of(client.get(url))
        assert "It is stopping" in text
        assert 'name="order"' not in text


def test_of_more_than_it_shows_the_page_says_how_many_run_and_leads_to_the_list_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = make_worker()
    jobs = {_running(worker).pk for _ in range(3)}
    monkeypatch.setattr(running_pages, "MOST_JOBS", 2)
    client = operator("view_job")
    text = text_of(client.get(RUNNING))
    assert "These are the first 2 of 3 jobs that run now or are claimed to start next" in text
    assert "2 jobs run now" not in text
    link = re.search(r'<a href="([^"]*)">The list of all 3</a>', text)
    assert link is not None
    assert ids_of(client.get(link[1])) == jobs


def test_of_a_worker_whose_jobs_are_not_shown_is_not_said_that_it_runs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _running(make_worker(name="first"))
    _running(make_worker(name="second"))
    client = operator("view_job")
    assert "It runs nothing." not in text_of(client.get(RUNNING))
    monkeypatch.setattr(running_pages, "MOST_JOBS", 1)
    text = text_of(client.get(RUNNING))
    assert "It runs nothing." not in text
    assert "What it runs, if anything, is not shown" in text
