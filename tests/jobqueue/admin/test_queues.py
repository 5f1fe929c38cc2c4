"""The pages of queues and workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.test import Client

from jobqueue.admin.limits import LimitsForm
from jobqueue.models import Queue
from jobqueue.sql.clock import database_now
from jobqueue.testing import drain
from spendsync_site.demo.processes import LOOPBACK, free_port
from tests.jobqueue.admin.steps import COUNTS, QUEUES, WORKERS, make_job, make_worker, text_of
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


# Limits -------------------------------------------------------------------------------------------

LIMITS = "/admin/jobqueue/queue/email/change/"


def _limit(client: Client, rate: object = "", concurrency: object = "") -> Any:
    return client.post(LIMITS, {"rate_limit": rate, "concurrency_limit": concurrency}, follow=True)


def _limits() -> tuple[int | None, int | None]:
    queue = Queue.objects.get(pk="email")
    return queue.rate_limit, queue.concurrency_limit


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"rate_limit": 1000}, "1,000 a second"),
        ({"concurrency_limit": 2}, "2 at once"),
        ({"rate_limit": 10, "concurrency_limit": 2}, "10 a second, 2 at once"),
        ({}, "–"),
    ],
)
def test_the_list_shows_the_limits(admin_client: Client, limits: dict[str, int], text: str) -> None:
    Queue.objects.create(name="email", **limits)
    assert f'<td class="field-limits">{text}</td>' in text_of(admin_client.get(QUEUES))


def test_the_name_of_a_queue_leads_to_its_limits(admin_client: Client) -> None:
    assert f'<a href="{LIMITS}">email</a>' in text_of(admin_client.get(QUEUES))


def test_limits_are_set_and_the_page_says_so(admin_client: Client) -> None:
    response = _limit(admin_client, 10, 2)
    assert [str(message) for message in response.context["messages"]] == [
        "Limits of email: 10 a second, 2 at once."
    ]
    assert response.redirect_chain == [(QUEUES, 302)]
    assert _limits() == (10, 2)


def test_empty_limits_are_no_limits(admin_client: Client) -> None:
    Queue.objects.create(name="email", rate_limit=10, concurrency_limit=2)
    response = _limit(admin_client)
    assert [str(message) for message in response.context["messages"]] == ["Limits of email: none."]
    assert _limits() == (None, None)


@pytest.mark.parametrize("field", ["rate", "concurrency"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "With 0 no job would start: pause the queue instead. Empty is no limit."),
        ("-1", "Enter a whole number of 1 or more, or leave this empty for no limit."),
        ("1.5", "Enter a whole number of 1 or more, or leave this empty for no limit."),
        ("ten", "Enter a whole number of 1 or more, or leave this empty for no limit."),
        ("9" * 20, "Leave this empty for no limit."),
        ("9" * 5000, "Enter a whole number of 1 or more, or leave this empty for no limit."),
    ],
    ids=["zero", "negative", "fraction", "word", "too much", "endless"],
)
def test_what_is_no_limit_is_refused_with_what_to_do(
    admin_client: Client, field: str, value: str, text: str
) -> None:
    Queue.objects.create(name="email", rate_limit=10, concurrency_limit=2)
    assert text in text_of(_limit(admin_client, **{"rate": 5, "concurrency": 5} | {field: value}))
    assert _limits() == (10, 2)
    assert not LogEntry.objects.exists()


def test_a_rate_that_redis_cannot_keep_is_refused(admin_client: Client) -> None:
    assert "The most is 10,000." in text_of(_limit(admin_client, 10_001))
    _limit(admin_client, 10_000)
    assert _limits() == (10_000, None)


def test_a_change_of_limits_is_written_down(admin_client: Client) -> None:
    Queue.objects.create(name="email", concurrency_limit=2)
    _limit(admin_client, 1000)
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message()) == (
        "email",
        "Rate limit: none → 1,000; Concurrency limit: 2 → none",
    )


def test_saving_the_limits_there_are_is_not_written_down(admin_client: Client) -> None:
    Queue.objects.create(name="email", rate_limit=10)
    _limit(admin_client, 10)
    assert not LogEntry.objects.exists()


def test_changing_limits_does_not_undo_a_pause_of_the_same_moment(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    Queue.objects.create(name="email")
    is_valid = LimitsForm.is_valid

    def pause_meanwhile(form: LimitsForm) -> bool:
        Queue.objects.update(paused=True)
        return is_valid(form)

    monkeypatch.setattr(LimitsForm, "is_valid", pause_meanwhile)
    _limit(admin_client, 10)
    assert Queue.objects.get(pk="email").paused
    assert _limits() == (10, None)


def test_limits_can_be_set_before_a_queue_has_its_row(admin_client: Client) -> None:
    _limit(admin_client, 10)
    assert _limits() == (10, None)


def test_a_queue_that_is_not_configured_has_no_limits_to_set(admin_client: Client) -> None:
    Queue.objects.create(name="removed")
    assert admin_client.get("/admin/jobqueue/queue/removed/change/").status_code == 302


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
