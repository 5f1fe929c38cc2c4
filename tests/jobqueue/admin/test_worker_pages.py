"""The list of the workers."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import WORKERS, make_job, make_worker, operator, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
RUNNING = "/admin/jobqueue/job/running/"


@pytest.mark.parametrize(
    ("fields", "word"), [({}, "alive"), ({"silent_for": 60}, "silent"), ({"stopping": True}, "stopping")]
)
def test_a_worker_is_alive_or_silent(admin_client: Client, fields: dict[str, Any], word: str) -> None:
    make_worker(**fields)
    assert f'jq-badge jq-{word}">{word}<' in text_of(admin_client.get(WORKERS))


def test_a_worker_shows_where_it_runs_and_what_it_serves(admin_client: Client) -> None:
    make_worker(name="worker-9", hostname="web-7", pid=31337, queues=["reminders", "email"], threads=12)
    text = text_of(admin_client.get(WORKERS))
    for shown in ("worker-9", "web-7", "31337", "reminders, email", ">12<"):
        assert shown in text


def test_a_worker_shows_what_it_runs_the_first_by_name_and_how_many_more(admin_client: Client) -> None:
    worker, other = make_worker(name="worker-9"), make_worker(name="worker-8", pid=5)
    now = database_now("default")
    jobs = [
        make_job("active", worker_id=worker.pk, started_at=now - timedelta(seconds=number))
        for number in range(5)
    ]
    make_job("completed", worker_id=worker.pk)
    make_job("active", worker_id=other.pk)
    text = text_of(admin_client.get(WORKERS, {"q": "worker-9"}))
    assert re.findall(r"#(\d+)</a> sample.succeed", text) == [str(job.pk) for job in jobs[:1:-1]]
    assert f'href="{page_of(jobs[4])}"' in text
    assert f'<a href="{RUNNING}">and 2 more</a>' in text


def test_who_may_not_see_jobs_sees_how_many_a_worker_runs() -> None:
    job = make_job("active", worker_id=make_worker().pk)
    text = text_of(operator("view_worker").get(WORKERS))
    assert 'field-running">1' in text and f"#{job.pk}" not in text


def test_what_workers_run_takes_no_more_questions_for_more_workers(admin_client: Client) -> None:
    counts = []
    for number in (1, 8):
        for pid in range(number):
            worker = make_worker(pid=100 * number + pid)
            make_job("active", worker_id=worker.pk)
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(WORKERS)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 15


# Orders -------------------------------------------------------------------------------------------

ORDER = re.compile(r'formaction="([^"]+)" name="order" value="(\w+)"')


def test_a_worker_is_quieted_resumed_and_stopped_where_it_stands_in_the_list() -> None:
    client = operator("view_job", "view_worker", "quiet_worker", "resume_worker", "stop_worker")
    make_worker(takes_orders=True)
    taken = []
    for order in ("quiet", "resume", "stop"):
        offered = {order: url for url, order in ORDER.findall(text_of(client.get(WORKERS)))}
        taken.append(sorted(offered))
        response = client.post(offered[order], {"order": order}, follow=True)
        assert response.request["PATH_INFO"] == WORKERS
        assert "is asked for" in str(next(iter(response.context["messages"])))
    assert taken == [["quiet", "stop"], ["resume", "stop"], ["quiet", "stop"]]
    assert not ORDER.findall(text_of(client.get(WORKERS)))


@pytest.mark.parametrize(
    ("fields", "offered"), [({"silent_for": 300}, []), ({"takes_orders": False}, []), ({}, ["quiet"])]
)
def test_only_orders_that_a_worker_takes_and_a_user_may_give_are_offered(
    fields: dict[str, Any], offered: list[str]
) -> None:
    make_worker(**{"takes_orders": True, **fields})
    assert not ORDER.findall(text_of(operator("view_worker", username="looker").get(WORKERS)))
    text = text_of(operator("view_job", "view_worker", "quiet_worker").get(WORKERS))
    assert [order for _url, order in ORDER.findall(text)] == offered


def test_an_order_says_that_it_is_for_all_processes_of_the_worker() -> None:
    for number in (1, 2):
        make_worker(name=f"web.{number}", pid=number, supervisor_pid=7, takes_orders=True)
    make_worker(name="alone", hostname="other", supervisor_pid=7, takes_orders=True)
    text = text_of(operator("view_worker", "stop_worker").get(WORKERS))
    hidden = '<span class="visually-hidden"> processes of this worker</span>'
    assert text.count(f">Stop: all 2{hidden}<span") == 2
    assert text.count(">Stop<span") == 1


# How it looks -------------------------------------------------------------------------------------


def test_silence_is_measured_by_the_clock_of_the_database(admin_client: Client) -> None:
    make_worker(heartbeat_at=database_now("default") - timedelta(minutes=45, seconds=20))
    assert ">45 min ago</small></time>" in text_of(admin_client.get(WORKERS))


def test_a_worker_with_a_bad_name_is_escaped(admin_client: Client) -> None:
    evil = "<script>alert(1)</script>"
    make_worker(name=evil, hostname=evil, queues=[evil])
    assert evil not in text_of(admin_client.get(WORKERS))


def test_workers_stand_by_host_with_version_and_memory(admin_client: Client) -> None:
    make_worker(hostname="web-2", version="2026.11.4", memory=280 * 2**20)
    make_worker(hostname="web-1", name="worker-9")
    text = text_of(admin_client.get(WORKERS))
    assert text.index("web-1") < text.index("web-2")
    assert "2026.11.4" in text
    assert "280 MB" in text
