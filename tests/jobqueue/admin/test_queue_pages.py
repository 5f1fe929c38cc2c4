"""The page of the queues: counts, pause and resume."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.test import Client

from jobqueue.broker import neighbours
from jobqueue.models import Queue
from jobqueue.testing import drain
from spendsync_site.demo.processes import LOOPBACK, free_port
from tests.jobqueue.admin.steps import COUNTS, QUEUES, make_job, make_worker, operator, text_of
from tests.jobqueue.conftest import UseRedis

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _counts(client: Client) -> dict[str, dict[str, str]]:
    queues: dict[str, dict[str, str]] = client.get(COUNTS).json()["queues"]
    return queues


def _switch(client: Client, action: str, *queues: str) -> list[str]:
    data: dict[str, Any] = {"action": action, "_selected_action": list(queues), "index": "0"}
    return [str(message) for message in client.post(QUEUES, data, follow=True).context["messages"]]


def test_every_configured_queue_has_its_row(admin_client: Client, settings: LazySettings) -> None:
    rows = admin_client.get(QUEUES).context["cl"].result_list
    assert {queue.name for queue in rows} == set(settings.RQ_QUEUES)
    assert not Queue.objects.exists()


def test_a_queue_without_a_row_has_limits_to_set(admin_client: Client) -> None:
    assert 'name="rate_limit"' in text_of(admin_client.get(f"{QUEUES}email/change/"))
    assert not Queue.objects.exists()


def test_who_may_order_nothing_makes_no_rows() -> None:
    client = operator("view_queue")
    client.post(QUEUES, {"action": "pause", "_selected_action": ["email"], "index": "0"})
    client.post(f"{QUEUES}email/change/", {"rate_limit": "1"})
    assert not Queue.objects.exists()


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


def test_another_installation_on_the_same_redis_is_named_with_the_cure(admin_client: Client) -> None:
    neighbours.warn("Two installations: set another REDIS_JOB_QUEUE_DB. <b>")

    assert admin_client.get(COUNTS).json()["notice"].startswith("Two installations")
    page = admin_client.get("/admin/jobqueue/queue/").content.decode()
    assert "set another REDIS_JOB_QUEUE_DB. &lt;b&gt;" in page


def test_with_redis_there_is_no_notice(admin_client: Client) -> None:
    assert admin_client.get(COUNTS).json()["notice"] == ""


def test_the_counts_are_never_cached(admin_client: Client) -> None:
    assert "no-store" in admin_client.get(COUNTS).headers["Cache-Control"]


def test_the_page_has_no_script_of_its_own_inside(admin_client: Client) -> None:
    body = text_of(admin_client.get(QUEUES)).partition("jq-live")[2].partition("</form>")[0]
    assert body.count("<script") == body.count('<script src="/static/')
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


def test_a_queue_that_was_removed_while_jobs_waited_on_it_is_named(admin_client: Client) -> None:
    make_job(queue="letters")
    make_job(queue="letters", state="completed")

    assert "RQ_QUEUES has no queue letters, on which 1 jobs wait" in text_of(admin_client.get(QUEUES))


def test_a_removed_queue_on_which_nothing_waits_is_not_named(admin_client: Client) -> None:
    make_job(queue="letters", state="failed")

    assert "letters" not in text_of(admin_client.get(QUEUES))
