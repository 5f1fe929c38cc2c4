"""`/api/queues/`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from redis import Redis

from jobqueue.broker import keys
from jobqueue.models import AuditEntry, Queue
from jobqueue.sql.clock import database_now
from spendsync_site.demo.processes import LOOPBACK, free_port
from tests.jobqueue.admin.steps import make_job, make_worker
from tests.jobqueue.api.steps import ask, full_operator, get, post, problem, viewer
from tests.jobqueue.conftest import UseRedis

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_every_configured_queue_is_listed_with_its_counts() -> None:
    make_job("failed")
    make_worker()

    queues = {queue["name"]: queue for queue in get(viewer(), "queues/")["results"]}

    assert set(queues) == {"email", "reminders", "settlement"}
    assert queues["email"]["failed"] == 1
    assert queues["email"]["workers"] == 1
    assert queues["email"]["completed"] == 0


def test_to_look_writes_nothing() -> None:
    get(viewer(), "queues/")

    assert not Queue.objects.exists()


def test_without_redis_the_completed_are_unknown(use_redis: UseRedis) -> None:
    use_redis(LOOPBACK, free_port())

    assert get(viewer(), "queues/email/")["completed"] is None


def test_the_starts_that_count_against_a_rate_limit_are_told(redis_client: Redis) -> None:
    for name in ("email", "reminders"):
        Queue.objects.create(name=name, rate_limit=10 if name == "email" else None)
    seconds, microseconds = redis_client.time()
    now = seconds * 1000 + microseconds // 1000
    redis_client.lpush(keys.starts("email"), now - 60_000, now + 60_000, now + 60_000)

    shown = {queue["name"]: queue["starts"] for queue in get(viewer(), "queues/")["results"]}

    assert shown == {"email": 2, "reminders": None, "settlement": None}


def test_without_redis_the_starts_are_unknown(use_redis: UseRedis) -> None:
    Queue.objects.create(name="email", rate_limit=10)
    use_redis(LOOPBACK, free_port())

    assert get(viewer(), "queues/email/")["starts"] is None


def test_a_queue_is_paused_once_and_resumed() -> None:
    client = full_operator()

    assert post(client, "queues/email/pause/")["paused"] is True
    assert "paused already" in problem(ask(client, "POST", "queues/email/pause/"), 409)["detail"]
    assert post(client, "queues/email/resume/")["paused"] is False
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "Pause: running → paused",
        "Resume: paused → running",
    ]


def test_a_pause_is_changed_while_the_queue_stays_paused() -> None:
    client = full_operator()
    first = {"until": "2035-01-31T15:00:00Z", "reason": "mail is down"}
    begun = post(client, "queues/email/pause/", first)

    changed = post(client, "queues/email/pause/", {"until": "2035-01-31T18:00:00Z", "change": True})

    assert changed["paused_since"] == begun["paused_since"]
    assert (changed["paused_until"], changed["pause_reason"]) == ("2035-01-31T18:00:00Z", "mail is down")
    assert LogEntry.objects.latest("pk").change_message == (
        "Pause: paused until 2035-01-31 15:00:00 UTC → paused until 2035-01-31 18:00:00 UTC."
        " Reason: mail is down"
    )


def test_another_reason_alone_leaves_the_end_of_a_pause() -> None:
    client = full_operator()
    post(client, "queues/email/pause/", {"until": "2035-01-31T15:00:00Z", "reason": "mail is down"})

    changed = post(client, "queues/email/pause/", {"reason": "new disk", "change": True})

    assert (changed["paused_until"], changed["pause_reason"]) == ("2035-01-31T15:00:00Z", "new disk")


@pytest.mark.parametrize(
    "body",
    [{}, {"until": "2035-01-31T15:00:00Z", "reason": "mail is down", "change": True}, {"change": True}],
)
def test_the_same_pause_again_is_nothing_to_do(body: dict[str, object]) -> None:
    client = full_operator()
    post(client, "queues/email/pause/", {"until": "2035-01-31T15:00:00Z", "reason": "mail is down"})

    refused = problem(ask(client, "POST", "queues/email/pause/", body), 409)

    assert refused["code"] == "already_paused"


@pytest.mark.parametrize("change", ["yes", "true", 1, 0, "false", [True], None])
def test_only_true_and_false_are_a_boolean(change: object) -> None:
    client = full_operator()
    post(client, "queues/email/pause/", {})
    refused = problem(ask(client, "POST", "queues/email/pause/", {"reason": "mail", "change": change}), 422)
    assert [error["field"] for error in refused["errors"]] == ["change"]
    assert LogEntry.objects.count() == 1


def test_null_makes_a_pause_one_for_good() -> None:
    client = full_operator()
    post(client, "queues/email/pause/", {"until": "2035-01-31T15:00:00Z"})

    assert post(client, "queues/email/pause/", {"until": None, "change": True})["paused_until"] is None


def test_who_pauses_as_the_second_does_not_overwrite_the_first_unasked() -> None:
    client = full_operator()
    post(client, "queues/email/pause/", {"until": "2035-01-31T18:00:00Z", "reason": "mail is down"})

    refused = problem(ask(client, "POST", "queues/email/pause/", {"until": "2035-01-31T15:00:00Z"}), 409)

    assert refused["code"] == "already_paused"
    assert "change: true" in refused["detail"]
    assert get(client, "queues/email/")["paused_until"] == "2035-01-31T18:00:00Z"


def test_a_pause_says_who_why_and_until_when() -> None:
    until = database_now("default") + timedelta(hours=1)
    body = {"reason": "mail is down", "until": until.isoformat()}

    shown = post(full_operator(), "queues/email/pause/", body)

    assert (shown["paused_by"], shown["pause_reason"]) == ("operator", "mail is down")
    assert shown["paused_until"] == until.isoformat().replace("+00:00", "Z")
    assert "Reason: mail is down" in LogEntry.objects.get().change_message


@pytest.mark.parametrize("until", ["2020-01-01T00:00:00Z", "soon", 5])
def test_a_pause_that_ends_at_no_time_ahead_is_refused(until: object) -> None:
    refused = problem(ask(full_operator(), "POST", "queues/email/pause/", {"until": until}), 422)

    assert [error["field"] for error in refused["errors"]] == ["until"]


def test_a_pause_whose_time_has_come_is_none_to_resume() -> None:
    client = full_operator()
    post(client, "queues/email/pause/")
    Queue.objects.update(paused_until=database_now("default") - timedelta(seconds=1))
    assert get(client, "queues/email/")["paused"] is False
    assert problem(ask(client, "POST", "queues/email/resume/"), 409)["code"] == "not_paused"
    assert AuditEntry.objects.filter(verb="Resume").count() == 0


def test_limits_are_changed_by_name() -> None:
    client = full_operator()

    post(client, "queues/email/limits/", {"rate_limit": 7, "concurrency_limit": 3}, "PATCH")
    shown = post(client, "queues/email/limits/", {"rate_limit": None}, "PATCH")

    assert (shown["rate_limit"], shown["concurrency_limit"]) == (None, 3)
    assert LogEntry.objects.latest("pk").change_message == "Rate limit: 7 → none"


def test_a_queue_has_a_limit_of_its_own_for_how_long_its_due_jobs_wait() -> None:
    client = full_operator()

    assert post(client, "queues/email/limits/", {"late_after": 900}, "PATCH")["late_after"] == 900
    assert post(client, "queues/email/limits/", {"late_after": None}, "PATCH")["late_after"] is None
    problem(ask(client, "PATCH", "queues/email/limits/", {"late_after": 0}), 422)


@pytest.mark.parametrize("limit", [0, -1, "7", 1.5, True, 10**12])
def test_what_is_no_limit_is_refused(limit: object) -> None:
    refused = problem(ask(full_operator(), "PATCH", "queues/email/limits/", {"rate_limit": limit}), 422)

    assert [error["field"] for error in refused["errors"]] == ["rate_limit"]


def test_a_queue_that_is_not_configured_is_not_found() -> None:
    for method, path in (("GET", "queues/x/"), ("POST", "queues/x/pause/")):
        problem(ask(full_operator(f"user {method}"), method, path), 404)


def test_a_queue_says_which_processors_use_it() -> None:
    for processor in ("sample.a", "sample.b", "sample.b"):
        make_job("active", processor=processor)

    shown = {one["name"]: one["processors"] for one in get(viewer(), "queues/")["results"]}
    assert shown["email"] == [
        {"processor": "sample.b", "active": 2},
        {"processor": "sample.a", "active": 1},
    ]
    assert shown["reminders"] == []


def test_a_change_of_a_pause_begins_none() -> None:
    refused = problem(ask(full_operator(), "POST", "queues/email/pause/", {"change": True}), 409)
    assert refused["code"] == "not_paused"
    assert not Queue.objects.filter(paused=True).exists()
