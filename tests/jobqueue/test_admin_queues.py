"""The pages of queues and workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.test import Client

from jobqueue.models import Queue, database_now
from jobqueue.testing import drain
from spendsync_site.demo.processes import LOOPBACK, free_port
from tests.jobqueue.admin_steps import COUNTS, QUEUES, WORKERS, make_job, make_worker, text_of
from tests.jobqueue.conftest import UseRedis

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _counts(client: Client) -> dict[str, dict[str, str]]:
    queues: dict[str, dict[str, str]] = client.get(COUNTS).json()["queues"]
    return queues


def _switch(client: Client, action: str, *queues: str) -> list[str]:
    data: dict[str, Any] = {"action": action, "_selected_action": list(queues), "index": "0"}
    return [str(message) for message in client.post(QUEUES, data, follow=True).context["messages"]]


# Queues -------------------------------------------------------------------------------------------


def test_every_configured_queue_has_its_row(admin_client: Client, settings: LazySettings) -> None:
    rows = admin_client.get(QUEUES).context["cl"].result_list
    assert {queue.name for queue in rows} == set(settings.RQ_QUEUES)


def test_a_queue_that_is_not_configured_any_more_is_not_shown(admin_client: Client) -> None:
    Queue.objects.create(name="removed")
    assert "removed" not in {queue.name for queue in admin_client.get(QUEUES).context["cl"].result_list}


def test_the_counts_are_those_of_the_database(admin_client: Client) -> None:
    for state, number in {"waiting": 1, "active": 2, "delayed": 3, "failed": 4, "cancelled": 5}.items():
        for _ in range(number):
            make_job(state, queue="reminders")
    counts = _counts(admin_client)["reminders"]
    assert [counts[state] for state in ("waiting", "active", "delayed", "failed")] == ["1", "2", "3", "4"]


def test_completed_jobs_are_counted_in_redis(admin_client: Client) -> None:
    make_job(queue="email")
    drain()
    assert _counts(admin_client)["email"]["completed"] == "1"


def test_a_count_leads_to_its_jobs(admin_client: Client) -> None:
    make_job("failed")
    assert '<a href="/admin/jobqueue/job/?queue=email&amp;state=failed">' in text_of(admin_client.get(QUEUES))


def test_the_page_shows_how_many_living_workers_serve_a_queue(admin_client: Client) -> None:
    make_worker(queues=["email"])
    make_worker(queues=["email", "reminders"])
    make_worker(silent_for=60)
    counts = _counts(admin_client)
    assert [counts[name]["workers"] for name in ("email", "reminders", "settlement")] == ["2", "1", "0"]


def test_without_redis_the_page_works_and_says_so(admin_client: Client, use_redis: UseRedis) -> None:
    make_job("failed")
    use_redis(LOOPBACK, free_port())
    text = text_of(admin_client.get(QUEUES))
    assert "Redis cannot be reached" in text
    answer = admin_client.get(COUNTS).json()
    assert (answer["queues"]["email"]["completed"], answer["queues"]["email"]["failed"]) == ("–", "1")
    assert "Redis cannot be reached" in answer["notice"]


def test_with_redis_there_is_no_notice(admin_client: Client) -> None:
    assert admin_client.get(COUNTS).json()["notice"] == ""


def test_the_counts_are_never_cached(admin_client: Client) -> None:
    assert "no-store" in admin_client.get(COUNTS).headers["Cache-Control"]


def test_the_limits_that_nothing_enforces_are_not_shown(admin_client: Client) -> None:
    assert "limit" not in text_of(admin_client.get(QUEUES)).lower()


def test_the_page_has_no_script_of_its_own_inside(admin_client: Client) -> None:
    body = text_of(admin_client.get(QUEUES)).partition("jq-live")[2].partition("</form>")[0]
    assert "<script" not in body
    assert "onclick" not in body


@pytest.mark.parametrize(
    ("action", "paused", "message"),
    [("pause", True, "Paused: email, reminders."), ("resume", False, "Resumed: email, reminders.")],
)
def test_queues_are_paused_and_resumed(admin_client: Client, action: str, paused: bool, message: str) -> None:
    for name in ("email", "reminders", "settlement"):
        Queue.objects.create(name=name, paused=not paused)
    assert _switch(admin_client, action, "email", "reminders") == [message]
    assert Queue.objects.filter(paused=paused).count() == 2


def test_a_switch_is_written_down(admin_client: Client) -> None:
    Queue.objects.create(name="email")
    _switch(admin_client, "pause", "email")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message()) == ("email", "Pause: running → paused")


def test_pausing_what_is_paused_says_so_and_is_not_written_down(admin_client: Client) -> None:
    Queue.objects.create(name="email", paused=True)
    assert _switch(admin_client, "pause", "email") == ["Nothing to do: already paused."]
    assert not LogEntry.objects.exists()


def test_a_paused_queue_says_so(admin_client: Client) -> None:
    Queue.objects.create(name="email", paused=True)
    assert 'jq-badge jq-paused">paused<' in text_of(admin_client.get(QUEUES))


# Workers ------------------------------------------------------------------------------------------


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
    make_worker(heartbeat_at=database_now("default") - timedelta(seconds=45))
    assert ">45 s ago</time>" in text_of(admin_client.get(WORKERS))


def test_a_worker_with_a_bad_name_is_escaped(admin_client: Client) -> None:
    evil = "<script>alert(1)</script>"
    make_worker(name=evil, hostname=evil, queues=[evil])
    assert evil not in text_of(admin_client.get(WORKERS))
