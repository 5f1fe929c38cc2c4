"""The list of the workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import WORKERS, make_job, make_worker, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


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


def test_a_worker_shows_how_many_jobs_it_runs(admin_client: Client) -> None:
    worker = make_worker(name="worker-9")
    for state in ("active", "active", "completed"):
        make_job(state, worker_id=worker.pk)
    [shown] = admin_client.get(WORKERS, {"q": "worker-9"}).context["cl"].result_list
    assert vars(shown)["_running"] == 2


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
