"""The public door: enqueue, enqueue_many, cancel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone as django_timezone

from jobqueue import signals
from jobqueue.broker import queues, scripts
from jobqueue.broker.connections import circuit
from jobqueue.delivery import outbox
from jobqueue.exceptions import (
    InvalidJob,
    InvalidPayload,
    InvalidRunAt,
    InvalidUniqueKey,
    JobTransitionRefused,
    UnknownProcessor,
)
from jobqueue.jobs import NewJob, cancel, enqueue, enqueue_many, running
from jobqueue.models import Job, subject_of
from jobqueue.sql.clock import database_now
from tests.jobqueue.processors_for_tests import ON_REMINDERS, ON_SETTLEMENT, SUCCEED, TAKES_A_NUMBER
from tests.jobqueue.steps import claim_row, list_of

Commit = Callable[..., AbstractContextManager[Any]]

in_transaction = pytest.mark.django_db
with_commits = pytest.mark.django_db(transaction=True)
with_both_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])

TOMORROW = timedelta(days=1)


class Rollback(Exception):
    """Raised to leave a transaction without its effects."""


@contextmanager
def rolled_back() -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
            raise Rollback
    except Rollback:
        pass


def _tomorrow() -> datetime:
    return django_timezone.now() + TOMORROW


def _pushes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages each push carries, from now on."""
    pushes: list[int] = []
    publish = queues.publish

    def counted(messages: Any, **options: Any) -> int:
        pushes.append(len(messages))
        return publish(messages, **options)

    monkeypatch.setattr(queues, "publish", counted)
    return pushes


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
    job = enqueue(SUCCEED, **({"run_at": _tomorrow()} if "run_at" in when else when))

    assert redis_client.dbsize() == 0
    assert Job.objects.delayed().get() == job
    assert job.published_at is None


@in_transaction
def test_run_at_is_kept_to_the_microsecond() -> None:
    moment = _tomorrow()

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
    moment = _tomorrow().astimezone(timezone(timedelta(hours=-7)))

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


# The unique key -----------------------------------------------------------------------------------


@in_transaction
def test_a_held_key_returns_the_waiting_job() -> None:
    first = enqueue(SUCCEED, unique_key="key", number=1)
    second = enqueue(SUCCEED, unique_key="key", number=2)

    assert second == first
    assert Job.objects.get().payload == {"number": 1}


@in_transaction
def test_different_keys_make_different_jobs() -> None:
    assert enqueue(SUCCEED, unique_key="one") != enqueue(SUCCEED, unique_key="other")


@in_transaction
def test_a_held_delayed_job_moves_to_an_earlier_time() -> None:
    moment = _tomorrow()
    enqueue(SUCCEED, unique_key="key", run_at=moment + TOMORROW)
    job = enqueue(SUCCEED, unique_key="key", run_at=moment)

    assert job.run_at == moment
    assert Job.objects.get().run_at == moment


@in_transaction
def test_a_held_delayed_job_does_not_move_to_a_later_time() -> None:
    moment = _tomorrow()
    enqueue(SUCCEED, unique_key="key", run_at=moment)
    job = enqueue(SUCCEED, unique_key="key", run_at=moment + TOMORROW)

    assert job.run_at == moment


@with_commits
def test_a_held_delayed_job_that_is_wanted_now_is_due_and_published(redis_client: redis.Redis) -> None:
    delayed = enqueue(SUCCEED, unique_key="key", delay=600)
    job = enqueue(SUCCEED, unique_key="key")

    assert job == delayed
    assert list_of(redis_client) == [f"{job.pk}-1"]
    assert Job.objects.due().get().published_at is not None


@with_commits
def test_a_held_due_job_is_published_once(redis_client: redis.Redis) -> None:
    job = enqueue(SUCCEED, unique_key="key")
    enqueue(SUCCEED, unique_key="key")
    enqueue(SUCCEED, unique_key="key", delay=5)

    assert list_of(redis_client) == [f"{job.pk}-1"]


@in_transaction
def test_a_job_that_has_started_does_not_swallow_the_next() -> None:
    started = claim_row(enqueue(SUCCEED, unique_key="key"))
    following = enqueue(SUCCEED, unique_key="key")

    assert following != started
    assert following.state == Job.State.WAITING


@in_transaction
def test_a_job_that_waits_for_its_retry_does_not_swallow_the_next() -> None:
    retried = claim_row(enqueue(SUCCEED, unique_key="key"))
    Job.objects.filter(pk=retried.pk).update(state=Job.State.WAITING, attempt=2)

    assert enqueue(SUCCEED, unique_key="key") != retried


@in_transaction
@pytest.mark.parametrize("state", [Job.State.COMPLETED, Job.State.FAILED, Job.State.CANCELLED])
def test_a_job_that_is_done_does_not_hold_its_key(state: str) -> None:
    done = enqueue(SUCCEED, unique_key="key")
    Job.objects.filter(pk=done.pk).update(state=state)

    assert enqueue(SUCCEED, unique_key="key") != done


@with_commits
def test_a_key_that_was_rolled_back_is_free() -> None:
    with rolled_back():
        enqueue(SUCCEED, unique_key="key")

    assert enqueue(SUCCEED, unique_key="key").pk is not None


def _in_threads(count: int, body: Callable[[int], None]) -> None:
    """Run `body(number)` in threads that begin together; an error in one is raised here."""
    barrier, errors = threading.Barrier(count), []

    def run(number: int) -> None:
        try:
            barrier.wait(10)
            body(number)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if errors:
        raise errors[0]


@with_commits
def test_two_threads_at_once_make_one_job() -> None:
    jobs: list[Job] = []

    def body(number: int) -> None:
        for round_ in range(5):
            with transaction.atomic():
                jobs.append(enqueue(SUCCEED, unique_key=f"key {round_}"))

    _in_threads(2, body)

    assert Job.objects.count() == 5
    assert len(jobs) == 10
    assert {job.pk for job in jobs} == set(Job.objects.values_list("pk", flat=True))


@with_commits
def test_two_threads_at_once_make_one_job_of_each_key_in_a_batch() -> None:
    def body(number: int) -> None:
        enqueue_many([NewJob(SUCCEED, {}, unique_key=f"key {index}") for index in range(5)])

    _in_threads(2, body)

    assert Job.objects.count() == 5


@with_commits
def test_a_save_that_meets_a_key_another_transaction_rolls_back_makes_the_job_itself() -> None:
    inserted, finish = threading.Event(), threading.Event()

    def body(number: int) -> None:
        if number == 0:
            with rolled_back():
                enqueue(SUCCEED, unique_key="key", number=0)
                inserted.set()
                finish.wait(10)
        else:
            inserted.wait(10)
            threading.Timer(0.1, finish.set).start()
            enqueue(SUCCEED, unique_key="key", number=1)

    _in_threads(2, body)

    assert Job.objects.get().payload == {"number": 1}


# Many ---------------------------------------------------------------------------------------------


@with_commits
def test_many_jobs_are_written_with_one_insert_and_published_with_one_push(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    pushes = _pushes(monkeypatch)
    with CaptureQueriesContext(connection) as queries:
        jobs = enqueue_many((SUCCEED, {"number": number}) for number in range(40))

    assert len([query for query in queries if query["sql"].startswith("INSERT")]) == 1
    assert pushes == [40]
    assert list_of(redis_client) == [f"{job.pk}-1" for job in jobs]


@with_commits
def test_many_jobs_come_back_in_their_order_and_like_their_rows() -> None:
    jobs = enqueue_many([(SUCCEED, {"number": number}) for number in range(3)])

    assert [job.payload["number"] for job in jobs] == [0, 1, 2]
    for job in jobs:
        row = Job.objects.get(pk=job.pk)
        assert (job.run_at, job.published_at, job.created_at) == (
            row.run_at,
            row.published_at,
            row.created_at,
        )


@with_commits
def test_many_jobs_of_different_queues_stand_in_their_own_lists(redis_client: redis.Redis) -> None:
    first, second, third = enqueue_many([(SUCCEED, {}), (ON_REMINDERS, {}), (ON_SETTLEMENT, {})])

    assert list_of(redis_client, "email") == [first.message_id]
    assert list_of(redis_client, "reminders") == [second.message_id]
    assert list_of(redis_client, "settlement") == [third.message_id]


@with_commits
def test_more_than_a_thousand_jobs_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    pushes = _pushes(monkeypatch)
    jobs = enqueue_many([(SUCCEED, {})] * 1001)

    assert pushes == [1000, 1]
    assert Job.objects.count() == len({job.pk for job in jobs}) == 1001


@with_commits
def test_many_jobs_with_a_time_are_not_published(redis_client: redis.Redis) -> None:
    moment = _tomorrow()
    enqueue_many([(SUCCEED, {})] * 3, run_at=moment)

    assert redis_client.dbsize() == 0
    assert {job.run_at for job in Job.objects.all()} == {moment}


@with_commits
def test_a_job_of_a_batch_may_have_its_own_time_and_subject(redis_client: redis.Redis) -> None:
    moment, user = _tomorrow(), User.objects.create_user("somebody")
    own, general = enqueue_many(
        [NewJob(SUCCEED, {}, run_at=moment, subject=user), NewJob(SUCCEED, {}, subject="text")],
        run_at=moment + TOMORROW,
    )

    assert (own.run_at, own.subject) == (moment, subject_of(user))
    assert (general.run_at, general.subject) == (moment + TOMORROW, "text")


@in_transaction
def test_no_job_of_a_batch_is_written_when_one_is_refused() -> None:
    with pytest.raises(UnknownProcessor):
        enqueue_many([(SUCCEED, {}), ("sample.unknown", {})])

    assert Job.objects.count() == 0


@in_transaction
def test_no_jobs_are_no_batch() -> None:
    assert enqueue_many([]) == []


@in_transaction
def test_a_job_of_a_batch_whose_key_is_held_is_left_out_and_the_holder_stands_in_its_place() -> None:
    holder = enqueue(SUCCEED, unique_key="held")
    first, second, third = enqueue_many(
        [(SUCCEED, {}), NewJob(SUCCEED, {}, unique_key="held"), NewJob(SUCCEED, {}, unique_key="free")]
    )

    assert second == holder
    assert {first.pk, third.pk}.isdisjoint({holder.pk})
    assert Job.objects.count() == 3


@in_transaction
def test_a_held_delayed_job_moves_to_the_earlier_time_that_a_batch_names() -> None:
    moment = _tomorrow()
    enqueue(SUCCEED, unique_key="held", run_at=moment + TOMORROW)
    enqueue_many([NewJob(SUCCEED, {}, unique_key="held", run_at=moment)])

    assert Job.objects.get().run_at == moment


@with_commits
def test_a_held_delayed_job_that_a_batch_wants_now_is_published(redis_client: redis.Redis) -> None:
    holder = enqueue(SUCCEED, unique_key="held", delay=600)
    enqueue_many([NewJob(SUCCEED, {}, unique_key="held")])

    assert list_of(redis_client) == [f"{holder.pk}-1"]
    assert Job.objects.due().get() == holder


@with_commits
def test_a_key_that_stands_twice_in_a_batch_makes_one_job(redis_client: redis.Redis) -> None:
    jobs = enqueue_many(
        [
            NewJob(SUCCEED, {"number": 1}, unique_key="double"),
            (SUCCEED, {"number": 2}),
            NewJob(SUCCEED, {"number": 3}, unique_key="double"),
        ]
    )

    assert jobs[0] == jobs[2] != jobs[1]
    assert [job.payload["number"] for job in Job.objects.order_by("pk")] == [1, 2]
    assert sorted(list_of(redis_client)) == sorted({job.message_id for job in jobs})


@with_both_databases
def test_a_batch_may_go_to_another_database(redis_client: redis.Redis) -> None:
    jobs = enqueue_many([(SUCCEED, {})] * 2, using="other")

    assert list_of(redis_client) == [f"{job.pk}-1-other" for job in jobs]


# Cancel -------------------------------------------------------------------------------------------


@in_transaction
def test_a_waiting_job_can_be_cancelled_by_its_id() -> None:
    job = cancel(enqueue(SUCCEED, delay=60).pk, "not wanted any more")

    assert (job.state, job.reason) == ("cancelled", "not wanted any more")
    assert Job.objects.get().finished_at is not None


@in_transaction
def test_a_started_job_cannot_be_cancelled() -> None:
    job = claim_row(enqueue(SUCCEED))

    with pytest.raises(JobTransitionRefused, match=f"job {job.pk} is active and cannot be cancelled"):
        cancel(job)


@pytest.mark.django_db(databases=["default", "other"])
def test_a_job_of_another_database_can_be_cancelled() -> None:
    job = enqueue(SUCCEED, using="other", delay=60)

    assert cancel(job.pk, using="other").state == "cancelled"


# Redis away ---------------------------------------------------------------------------------------


def _save_and_measure() -> tuple[User, float]:
    """A save with its job, and the seconds it took, commit included."""
    started = time.perf_counter()
    with transaction.atomic():
        user = User.objects.create(username=f"user {User.objects.count()}")
        enqueue(SUCCEED, subject=user)
    return user, time.perf_counter() - started


def _quickest_save_with_a_fresh_try() -> float:
    """Of three, so that a busy machine does not count; each tries Redis anew."""
    times = []
    for _ in range(3):
        circuit.close()
        times.append(_save_and_measure()[1])
    return min(times)


@with_commits
def test_a_save_commits_and_adds_at_most_a_tenth_of_a_second_while_redis_is_away(redis_outage: str) -> None:
    assert _quickest_save_with_a_fresh_try() <= 0.1
    assert User.objects.count() == Job.objects.count() == 3


@with_commits
def test_after_one_vain_try_saves_leave_redis_alone_for_a_while(
    redis_outage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save_and_measure()

    def forbidden(*_: Any) -> Any:
        raise AssertionError("Redis was asked")

    monkeypatch.setattr(scripts, "run", forbidden)
    user, _ = _save_and_measure()

    assert Job.objects.about(user).get().published_at is None


@with_commits
def test_jobs_saved_while_redis_is_away_wait_for_the_relay(redis_outage: str) -> None:
    user, _ = _save_and_measure()

    assert Job.objects.about(user).get().published_at is None


@with_commits
def test_the_relay_publishes_what_was_saved_while_redis_was_away(
    redis_closed: Callable[[str, int], None], redis_server: Any, redis_client: redis.Redis
) -> None:
    jobs = [enqueue(SUCCEED), *enqueue_many([(SUCCEED, {}), (ON_REMINDERS, {})])]
    redis_closed(redis_server.host, redis_server.port)

    assert outbox.publish_due("default") == 3
    assert list_of(redis_client) == [jobs[0].message_id, jobs[1].message_id]
    assert list_of(redis_client, "reminders") == [jobs[2].message_id]
    assert not Job.objects.filter(published_at__isnull=True).exists()


@with_commits
def test_a_job_that_started_meanwhile_is_not_marked_as_unpublished(redis_closed: object) -> None:
    with transaction.atomic():
        job = enqueue(SUCCEED)
        Job.objects.filter(pk=job.pk).update(state=Job.State.ACTIVE, started_at=Now())

    assert Job.objects.get().published_at is not None
