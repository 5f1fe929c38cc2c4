"""The public door, one job at a time: its row, its transaction, its time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from jobqueue import signals
from jobqueue.broker import queues
from jobqueue.exceptions import (
    InvalidJob,
    InvalidPayload,
    InvalidRunAt,
    InvalidUniqueKey,
)
from jobqueue.jobs import enqueue, running
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.processors_for_tests import SUCCEED, TAKES_A_NUMBER
from tests.jobqueue.steps import list_of, rolled_back, tomorrow

in_transaction = pytest.mark.django_db
with_commits = pytest.mark.django_db(transaction=True)
with_both_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])


# The row ------------------------------------------------------------------------------------------


@in_transaction
def test_a_job_is_a_waiting_row_with_everything_its_run_needs() -> None:
    job = Job.objects.get(pk=enqueue(TAKES_A_NUMBER, number=5).pk)

    assert (job.processor, job.queue, job.payload) == (TAKES_A_NUMBER, "email", {"number": 5})
    assert (job.state, job.attempt, job.failures, job.timeout) == ("waiting", 1, 0, 7)
    assert (job.subject, job.unique_key, job.reason) == ("", None, "")


@in_transaction
def test_the_returned_job_is_like_its_row() -> None:
    job = enqueue(SUCCEED, number=5)
    row = Job.objects.get(pk=job.pk)

    for field in Job._meta.concrete_fields:
        assert getattr(job, field.attname) == getattr(row, field.attname), field.attname


@in_transaction
def test_the_row_is_written_with_one_statement() -> None:
    with CaptureQueriesContext(connection) as queries:
        enqueue(SUCCEED)

    assert [query["sql"].split()[0] for query in queries] == ["INSERT"]


@in_transaction
def test_a_model_instance_may_be_the_subject() -> None:
    user = User.objects.create_user("somebody")

    assert enqueue(SUCCEED, subject=user).subject == f"auth.user:{user.pk}"


@in_transaction
def test_a_text_may_be_the_subject() -> None:
    assert enqueue(SUCCEED, subject="settlements.settlement:5").subject == "settlements.settlement:5"


@pytest.mark.parametrize("text", ["", "x" * 201, "two\nlines", "nul\x00", "\ud800", 5, b"bytes"])
@pytest.mark.parametrize("name", ["subject", "unique_key"])
def test_a_subject_or_key_that_is_no_short_printable_text_is_refused(name: str, text: Any) -> None:
    with pytest.raises(InvalidUniqueKey, match=f"{name} must be printable text of 1 to 200 characters"):
        enqueue(SUCCEED, **{name: text})


@in_transaction
def test_a_subject_of_two_hundred_characters_is_taken() -> None:
    assert enqueue(SUCCEED, subject="ä" * 200, unique_key="ü" * 200).subject == "ä" * 200


@in_transaction
@pytest.mark.parametrize(
    "call",
    [
        lambda: enqueue("sample.unknown"),
        lambda: enqueue(SUCCEED, value={1, 2}),
        lambda: enqueue(SUCCEED, delay="soon"),  # type: ignore[arg-type]
        lambda: enqueue(SUCCEED, unique_key=""),
        lambda: enqueue(TAKES_A_NUMBER),
    ],
)
def test_a_refused_job_leaves_no_row_and_a_usable_transaction(call: Callable[[], Job]) -> None:
    with pytest.raises(InvalidJob):
        call()

    assert Job.objects.count() == 0


# The transaction ----------------------------------------------------------------------------------


@with_commits
def test_the_message_is_published_after_the_commit_and_not_before(redis_client: redis.Redis) -> None:
    with transaction.atomic():
        job = enqueue(SUCCEED)
        assert list_of(redis_client) == []

    assert list_of(redis_client) == [f"{job.pk}-1"]


@with_commits
def test_without_a_transaction_the_message_is_published_at_once(redis_client: redis.Redis) -> None:
    job = enqueue(SUCCEED)

    assert list_of(redis_client) == [f"{job.pk}-1"]


@with_commits
def test_a_rollback_leaves_neither_row_nor_message(redis_client: redis.Redis) -> None:
    with rolled_back():
        enqueue(SUCCEED)

    assert Job.objects.count() == 0
    assert redis_client.dbsize() == 0


@with_commits
def test_a_rollback_to_a_savepoint_leaves_neither_row_nor_message_of_what_came_after_it(
    redis_client: redis.Redis,
) -> None:
    with transaction.atomic():
        kept = enqueue(SUCCEED)
        with rolled_back():
            enqueue(SUCCEED)

    assert list(Job.objects.values_list("pk", flat=True)) == [kept.pk]
    assert list_of(redis_client) == [f"{kept.pk}-1"]


@with_commits
def test_a_refused_job_leaves_the_rest_of_its_transaction_alone(redis_client: redis.Redis) -> None:
    with transaction.atomic():
        kept = enqueue(SUCCEED)
        with pytest.raises(InvalidPayload):
            enqueue(SUCCEED, value=b"bytes")

    assert list_of(redis_client) == [f"{kept.pk}-1"]


@with_commits
def test_an_error_in_our_callback_does_not_stop_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> int:
        raise RuntimeError("broken")

    monkeypatch.setattr(queues, "publish", broken)
    called = []
    with transaction.atomic():
        job = enqueue(SUCCEED)
        transaction.on_commit(lambda: called.append(True))

    assert called == [True]
    assert Job.objects.filter(pk=job.pk).exists()


@with_commits
def test_job_enqueued_is_sent_after_the_commit_with_the_jobs() -> None:
    heard: list[Job] = []

    def listener(jobs: list[Job], **_: Any) -> None:
        heard.extend(jobs)

    signals.job_enqueued.connect(listener)
    try:
        with transaction.atomic():
            job = enqueue(SUCCEED)
            assert heard == []
    finally:
        signals.job_enqueued.disconnect(listener)

    assert heard == [job]


@with_commits
def test_a_broken_listener_does_not_fail_the_caller() -> None:
    def listener(**_: Any) -> None:
        raise RuntimeError("broken")

    signals.job_enqueued.connect(listener)
    try:
        job = enqueue(SUCCEED)
    finally:
        signals.job_enqueued.disconnect(listener)

    assert Job.objects.filter(pk=job.pk).exists()


@with_both_databases
def test_a_job_of_another_database_is_a_row_there_and_its_message_says_so(redis_client: redis.Redis) -> None:
    with transaction.atomic(using="other"):
        job = enqueue(SUCCEED, using="other")

    assert Job.objects.count() == 0
    assert Job.objects.using("other").get().pk == job.pk
    assert list_of(redis_client) == [f"{job.pk}-1-other"]


@with_both_databases
def test_the_transaction_of_the_jobs_own_database_decides(redis_client: redis.Redis) -> None:
    with rolled_back():  # of the default database
        job = enqueue(SUCCEED, using="other")

    assert list_of(redis_client) == [f"{job.pk}-1-other"]


@pytest.mark.django_db(databases=["default", "other"])
def test_inside_a_job_new_jobs_go_to_its_database() -> None:
    with running(Job(pk=1, processor=SUCCEED), "other"):
        job = enqueue(SUCCEED)

    assert job._state.db == "other"


# The time -----------------------------------------------------------------------------------------


@with_commits
@pytest.mark.parametrize("when", [{"delay": 60}, {"delay": timedelta(minutes=1)}, {"run_at": True}])
def test_a_delayed_job_is_not_published(redis_client: redis.Redis, when: dict[str, Any]) -> None:
    job = enqueue(SUCCEED, **({"run_at": tomorrow()} if "run_at" in when else when))

    assert redis_client.dbsize() == 0
    assert Job.objects.delayed().get() == job
    assert job.published_at is None


@in_transaction
def test_run_at_is_kept_to_the_microsecond() -> None:
    moment = tomorrow()

    assert Job.objects.get(pk=enqueue(SUCCEED, run_at=moment).pk).run_at == moment


@in_transaction
def test_a_delay_counts_from_now() -> None:
    before = database_now("default")
    job = enqueue(SUCCEED, delay=90)

    assert before + timedelta(seconds=90) <= job.run_at <= database_now("default") + timedelta(seconds=90)


@with_commits
@pytest.mark.parametrize(
    "when",
    [
        {"run_at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"run_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))},
        {"delay": 0},
        {"delay": -5},
        {"delay": timedelta(days=-400)},
        {"delay": timedelta.min},
    ],
)
def test_a_time_in_the_past_means_now(redis_client: redis.Redis, when: dict[str, Any]) -> None:
    job = enqueue(SUCCEED, **when)

    assert list_of(redis_client) == [f"{job.pk}-1"]
    assert Job.objects.due().get() == job
    assert abs(job.run_at - job.created_at) < timedelta(seconds=1)


@in_transaction
def test_run_at_may_be_in_any_time_zone() -> None:
    moment = tomorrow().astimezone(timezone(timedelta(hours=-7)))

    assert Job.objects.get(pk=enqueue(SUCCEED, run_at=moment).pk).run_at == moment


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("when", "complaint"),
    [
        ({"run_at": datetime(2030, 1, 1)}, "2030-01-01T00:00:00 has no time zone"),
        ({"run_at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 5}, "run_at or delay, not both"),
        ({"run_at": "2030-01-01"}, "run_at must be an aware datetime, not str '2030-01-01'"),
        ({"run_at": 5}, "run_at must be an aware datetime, not int 5"),
        ({"run_at": datetime(2030, 1, 1).date()}, "run_at must be an aware datetime, not date"),
        ({"delay": "5"}, "delay must be a timedelta or a number of seconds, not str '5'"),
        ({"delay": True}, "delay must be a timedelta or a number of seconds, not bool True"),
        ({"delay": float("nan")}, "delay nan is no usable length of time"),
        ({"delay": float("inf")}, "delay inf is no usable length of time"),
        ({"delay": 1e20}, r"delay 1e\+20 is no usable length of time"),
        ({"delay": timedelta.max}, "is no usable length of time"),
        ({"run_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))}, "is no usable time"),
    ],
)
def test_a_time_that_is_none_is_refused(when: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRunAt, match=complaint):
        enqueue(SUCCEED, **when)
