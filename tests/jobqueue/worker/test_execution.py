"""The run of a job: claim, perform, settle."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import OperationalError
from django.db.models.functions import Now
from django.dispatch import Signal
from rq.registry import FinishedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from jobqueue import registry, signals
from jobqueue.broker import counters, message, queues
from jobqueue.delivery import outbox
from jobqueue.exceptions import BrokerUnavailable, JobQueueError, JobTimeout
from jobqueue.jobs import (
    Discard,
    RetryLater,
    RetryPolicy,
    Skipped,
    current_database,
    current_job,
    enqueue,
    processor,
)
from jobqueue.models import Attempt, Job
from jobqueue.sql.clock import database_now
from jobqueue.worker import claiming, performing, settling, telling
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from spendsync_site.demo.redis_server import RedisServer
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.processors_for_tests import (
    CALL,
    COUNTED,
    DISCARD,
    FAIL,
    FAIL_WITHOUT_RETRY,
    ON_REMINDERS,
    RETRY_LATER,
    SKIP,
    SUCCEED,
    Calls,
)
from tests.jobqueue.steps import (
    CLAIMANT,
    OTHER_CLAIMANT,
    claim_row,
    claimed,
    list_of,
    published,
    run,
    run_waiting,
)

pytestmark = pytest.mark.django_db

State = Job.State
Status = OutcomeStatus


def _perform(job: Job) -> Outcome:
    return performing.perform(Claim(job, "default"))


def _perform_with(calls: Calls, behaviour: Callable[..., Any]) -> Outcome:
    calls.behaviour = behaviour
    return _perform(claimed(CALL))


def _raise(error: BaseException) -> Callable[..., Any]:
    def behaviour(**_: Any) -> None:
        raise error

    return behaviour


def _claim(count: int = 10, **options: Any) -> list[Job]:
    return [each.job for each in claiming.claim(CLAIMANT, count, **options)]


@contextmanager
def _heard(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []

    def listener(**details: Any) -> None:
        heard.append(details)

    signal.connect(listener)
    try:
        yield heard
    finally:
        signal.disconnect(listener)


# Claim --------------------------------------------------------------------------------------------


def test_published_jobs_are_claimed_in_the_order_of_the_queues() -> None:
    reminder, mail = published(ON_REMINDERS), published()

    assert _claim() == [mail, reminder]
    assert set(Job.objects.active().filter(worker_id=CLAIMANT.id)) == {mail, reminder}


def test_nothing_published_is_nothing_claimed() -> None:
    enqueue(SUCCEED)

    assert _claim() == []


def test_only_the_queues_that_are_served_now_are_claimed_from() -> None:
    published()
    reminder = published(ON_REMINDERS)

    assert _claim(served=["reminders"]) == [reminder]


def test_a_stale_message_is_dropped_without_a_trace(redis_client: redis.Redis) -> None:
    job = published()
    Job.objects.filter(pk=job.pk).update(state=State.CANCELLED)

    assert _claim() == []
    assert redis_client.keys("rq:job:*") == []
    assert redis_client.zcard("rq:wip:email") == 0


def test_a_stale_message_does_not_keep_the_others_from_being_claimed(redis_client: redis.Redis) -> None:
    stale, fresh = published(), published()
    Job.objects.filter(pk=stale.pk).update(state=State.COMPLETED)

    assert _claim() == [fresh]
    assert redis_client.zrange("rq:wip:email", 0, -1) == [f"{fresh.pk}-1:{CLAIMANT.id.hex}".encode()]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_messages_of_one_job_the_one_of_its_attempt_counts(
    order: tuple[int, int], redis_client: redis.Redis
) -> None:
    job = enqueue(SUCCEED)
    Job.objects.filter(pk=job.pk).update(attempt=2)
    queues.publish([message.Message("email", job.pk, attempt) for attempt in order])

    assert _claim() == [job]
    assert redis_client.keys("rq:job:*") == [f"rq:job:{job.pk}-2".encode()]


def test_a_message_of_an_unknown_database_is_dropped_and_hurts_no_other(redis_client: redis.Redis) -> None:
    queues.publish([message.Message("email", 1, 1, "nowhere")])
    job = published()

    assert _claim() == [job]
    assert redis_client.keys("rq:job:*") == [f"rq:job:{job.pk}-1".encode()]


@pytest.mark.django_db(databases=["default", "other"])
def test_jobs_of_two_databases_are_claimed_together_in_the_order_of_their_messages() -> None:
    other, default = published(using="other"), published()

    claims = claiming.claim(CLAIMANT, 10)

    assert [(each.job.pk, each.using) for each in claims] == [(other.pk, "other"), (default.pk, "default")]


def _fail_claims(monkeypatch: pytest.MonkeyPatch, *databases: str) -> None:
    claim_rows = claiming._claim_rows

    def failing(database: str, *arguments: Any) -> list[Claim]:
        if database in databases:
            raise OperationalError("the database is away")
        return claim_rows(database, *arguments)

    monkeypatch.setattr(claiming, "_claim_rows", failing)


def test_when_the_database_fails_nothing_is_claimed_and_the_messages_are_back_in_their_order(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    jobs = [published(), published(), published()]
    _fail_claims(monkeypatch, "default")

    with pytest.raises(OperationalError):
        _claim(2)

    assert list_of(redis_client) == [job.message_id for job in jobs]
    assert redis_client.hget(f"rq:job:{jobs[0].message_id}", "status") == b"queued"
    assert redis_client.zcard("rq:wip:email") == 0


def test_a_message_ahead_of_its_time_is_left_to_the_relay(redis_client: redis.Redis) -> None:
    job = enqueue(SUCCEED, delay=60)
    Job.objects.filter(pk=job.pk).update(published_at=Now())
    queues.publish([outbox.message_of(job, "default")])

    assert _claim() == []
    job.refresh_from_db()
    assert (job.state, job.published_at) == (State.WAITING, None)


@pytest.mark.django_db(databases=["default", "other"])
def test_when_one_database_fails_the_jobs_of_the_other_are_claimed_and_run(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    job = published()
    published(using="other")
    _fail_claims(monkeypatch, "other")

    assert _claim() == [job]
    assert redis_client.zcard("rq:wip:email") == 1


def test_redis_failing_after_the_rows_were_claimed_does_not_lose_them(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    stale, fresh = published(), published()
    Job.objects.filter(pk=stale.pk).update(state=State.CANCELLED)
    finish = queues.finish

    def away(*_: Any, **__: Any) -> None:
        raise BrokerUnavailable("away")

    monkeypatch.setattr(queues, "finish", away)
    assert _claim() == [fresh]

    monkeypatch.setattr(queues, "finish", finish)
    assert telling.tell_redis()
    assert redis_client.zcard("rq:wip:email") == 1


def test_without_redis_nothing_is_claimed(redis_closed: object) -> None:
    job = enqueue(SUCCEED)

    with pytest.raises(BrokerUnavailable):
        _claim()
    assert Job.objects.get(pk=job.pk).state == State.WAITING


def test_a_foreign_message_is_not_run_and_hurts_no_other(redis_client: redis.Redis) -> None:
    redis_client.rpush("rq:queue:email", "99999999999999999999-1", "5-1x", "foreign")
    job = published()

    assert _claim() == [job]


# Perform ------------------------------------------------------------------------------------------


def test_the_processor_is_called_with_the_payload(sample_processors: Calls) -> None:
    _perform(claimed(CALL, number=5, words=["a", "b"]))

    assert sample_processors.payloads == [{"number": 5, "words": ["a", "b"]}]


def test_a_return_completes_the_job() -> None:
    outcome = _perform(claimed())

    assert (outcome.status, outcome.reason, outcome.failure) == (Status.COMPLETED, "", None)
    assert outcome.seconds > 0


def test_whatever_else_a_processor_returns_completes_the_job(sample_processors: Calls) -> None:
    assert _perform_with(sample_processors, lambda **_: {"answer": object()}).status == Status.COMPLETED


def test_a_job_with_nothing_to_do_is_skipped_with_the_reason() -> None:
    outcome = _perform(claimed(SKIP, reason="settlement already completed"))

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "skipped: settlement already completed")


def test_a_reason_that_is_no_text_skips_the_job_all_the_same(sample_processors: Calls) -> None:
    outcome = _perform_with(sample_processors, lambda **_: Skipped(None))  # type: ignore[arg-type]

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "skipped: None")


def test_a_discarded_job_has_failed_at_once() -> None:
    outcome = _perform(claimed(DISCARD, reason="no such mailbox"))

    assert (outcome.status, outcome.delay) == (Status.FAILED, None)
    assert outcome.reason == "Discard: no such mailbox"


@pytest.mark.parametrize("delay", [60, 60.0, timedelta(minutes=1)])
def test_a_job_that_asks_for_another_time_gets_it(sample_processors: Calls, delay: Any) -> None:
    outcome = _perform_with(sample_processors, _raise(RetryLater(delay, "not yet")))

    assert (outcome.status, outcome.delay) == (Status.RETRIED, timedelta(minutes=1))
    assert (outcome.reason, outcome.failure) == ("not yet", None)


def test_a_failure_is_retried_after_the_delay_of_its_policy() -> None:
    outcome = _perform(claimed(FAIL, message="broken pipe"))

    assert outcome.status == Status.RETRIED
    assert outcome.delay is not None
    assert timedelta(seconds=0.8) <= outcome.delay <= timedelta(seconds=1.2)
    assert outcome.reason == "Broken: broken pipe"


def test_a_failure_beyond_the_budget_fails_the_job() -> None:
    assert _perform(claimed(FAIL_WITHOUT_RETRY)).status == Status.FAILED


def test_a_failure_has_its_error_and_its_traceback() -> None:
    failure = _perform(claimed(FAIL, message="broken pipe")).failure

    assert failure is not None
    assert (failure.error_class, failure.message) == ("Broken", "broken pipe")
    assert "raise Broken(message)" in failure.traceback
    assert "processors_for_tests.py" in failure.traceback


def test_the_cause_of_an_error_is_in_the_traceback(sample_processors: Calls) -> None:
    def behaviour(**_: Any) -> None:
        try:
            raise KeyError("the cause")
        except KeyError as error:
            raise ValueError("the effect") from error

    failure = _perform_with(sample_processors, behaviour).failure

    assert failure is not None
    assert "the cause" in failure.traceback


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError("x"), "ValueError"),
        (SystemExit(3), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (MemoryError(), "MemoryError"),
        (RecursionError(), "RecursionError"),
        (JobTimeout("too long"), "JobTimeout"),
        (ExceptionGroup("several", [ValueError("x")]), "ExceptionGroup"),
        (BaseException("base"), "BaseException"),
        (_Unspeakable(), "_Unspeakable"),
        (type("E" * 500, (Exception,), {})(), "… " + "E" * 198),
    ],
)
def test_whatever_a_processor_raises_is_a_failed_attempt(
    sample_processors: Calls, error: BaseException, name: str
) -> None:
    outcome = _perform_with(sample_processors, _raise(error))

    assert outcome.status == Status.RETRIED
    assert outcome.failure is not None
    assert outcome.failure.error_class == name


def test_a_processor_that_ends_the_process_ends_only_its_job(sample_processors: Calls) -> None:
    assert _perform_with(sample_processors, lambda **_: sys.exit("bye")).status == Status.RETRIED


def test_a_job_whose_processor_is_unknown_here_is_retried_by_the_general_policy() -> None:
    job = claimed()
    registry.unregister(SUCCEED)
    outcome = _perform(job)

    assert outcome.status == Status.RETRIED
    assert outcome.reason.startswith("UnknownProcessor: no processor named 'sample.succeed'")


def test_a_payload_that_the_processor_does_not_take_any_more_is_a_failed_attempt() -> None:
    job = claimed(SUCCEED, number=1)
    Job.objects.filter(pk=job.pk).update(processor=FAIL)
    job.refresh_from_db()

    assert _perform(job).reason.startswith("TypeError: ")


def test_a_processor_can_ask_which_job_it_runs(sample_processors: Calls) -> None:
    seen: list[Any] = []
    sample_processors.behaviour = lambda **_: seen.append((current_job(), current_database()))
    job = claimed(CALL)
    _perform(job)

    assert seen == [(job, "default")]


def test_outside_a_processor_no_job_is_current(sample_processors: Calls) -> None:
    _perform_with(sample_processors, _raise(SystemExit()))

    assert current_job() is None
    assert current_database() is None


def test_the_limit_guards_the_call(sample_processors: Calls) -> None:
    steps: list[str] = []

    @contextmanager
    def limit(job: Job) -> Iterator[None]:
        steps.append("begin")
        yield
        steps.append("end")

    sample_processors.behaviour = lambda **_: steps.append("call")
    performing.perform(Claim(claimed(CALL), "default"), limit)

    assert steps == ["begin", "call", "end"]


def test_job_started_is_sent_before_the_call(sample_processors: Calls) -> None:
    with _heard(signals.job_started) as heard:
        sample_processors.behaviour = lambda **_: heard.append({"called": True})
        job = claimed(CALL)
        _perform(job)

    assert [details.get("job") for details in heard] == [job, None]


# Settle -------------------------------------------------------------------------------------------


def test_a_completed_job_is_done() -> None:
    job = claimed()
    run(job)

    assert (job.state, job.reason, job.failures) == (State.COMPLETED, "", 0)
    assert job.finished_at is not None
    assert not job.attempts.exists()


def test_a_skipped_job_is_completed_and_says_why() -> None:
    job = claimed(SKIP)
    run(job)

    assert (job.state, job.reason, job.is_skipped) == (State.COMPLETED, "skipped: nothing to do", True)


def test_a_failed_attempt_puts_the_job_back_on_the_road_later() -> None:
    job = claimed(FAIL)
    run(job)

    assert (job.state, job.attempt, job.failures, job.published_at) == (State.WAITING, 2, 1, None)
    assert job.worker_id is None
    assert job.reason == "Broken: broken"
    assert timedelta(0) < job.run_at - database_now("default") <= timedelta(seconds=1.2)


def test_a_failed_attempt_leaves_what_went_wrong() -> None:
    job = claimed(FAIL)
    run(job)
    attempt = job.attempts.get()

    assert (attempt.number, attempt.error_class, attempt.message) == (1, "Broken", "broken")
    assert "raise Broken(message)" in attempt.traceback
    assert attempt.worker_name == CLAIMANT.name
    assert attempt.started_at == job.started_at
    assert attempt.finished_at is not None


def test_after_four_attempts_the_job_has_failed_with_all_four_errors_and_tracebacks(
    sample_processors: Calls,
) -> None:
    def behaviour(**_: Any) -> None:
        raise ValueError(f"broken {len(sample_processors.payloads)}")

    sample_processors.behaviour = behaviour
    job = enqueue(CALL)
    statuses = [run_waiting(job).status for _ in range(4)]

    assert statuses == [Status.RETRIED] * 3 + [Status.FAILED]
    assert (job.state, job.attempt, job.failures) == (State.FAILED, 4, 4)
    assert job.reason == "ValueError: broken 4"
    assert [(each.number, each.message) for each in job.attempts.all()] == [
        (number, f"broken {number}") for number in (1, 2, 3, 4)
    ]
    assert all(f"broken {each.number}" in each.traceback for each in job.attempts.all())


def test_the_waits_between_the_attempts_grow() -> None:
    job = enqueue(FAIL)
    delays = [outcome.delay for outcome in (run_waiting(job), run_waiting(job), run_waiting(job))]

    for delay, plain in zip(delays, (1, 2, 4), strict=True):
        assert delay is not None
        assert plain * 0.8 <= delay.total_seconds() <= plain * 1.2


def test_a_job_may_succeed_after_it_failed(sample_processors: Calls) -> None:
    sample_processors.behaviour = _raise(ValueError("broken"))
    job = enqueue(CALL)
    run_waiting(job)
    sample_processors.behaviour = lambda **_: None
    run_waiting(job)

    assert (job.state, job.attempt, job.failures, job.reason) == (State.COMPLETED, 2, 1, "")
    assert job.attempts.count() == 1


def test_a_discarded_job_keeps_its_error() -> None:
    job = claimed(DISCARD)
    run(job)

    assert (job.state, job.failures) == (State.FAILED, 1)
    assert job.attempts.get().error_class == "Discard"


def test_another_time_uses_no_failure_and_leaves_no_attempt() -> None:
    job = enqueue(RETRY_LATER, seconds=60)
    for _ in range(10):
        run_waiting(job)

    assert (job.state, job.failures, job.attempt, job.reason) == (State.WAITING, 0, 11, "not yet")
    assert not job.attempts.exists()
    assert timedelta(seconds=50) < job.run_at - database_now("default") <= timedelta(seconds=60)


class _ServerAway(Exception):
    pass


def _asks_for_another_time_after_an_error(**_: Any) -> None:
    try:
        raise _ServerAway("no answer")
    except _ServerAway as error:
        raise RetryLater(60, "the server is away", error=error) from None


def test_another_time_after_an_error_keeps_each_as_an_attempt_and_uses_no_failure(
    sample_processors: Calls,
) -> None:
    sample_processors.behaviour = _asks_for_another_time_after_an_error
    job = enqueue(CALL)
    for _ in range(10):
        run_waiting(job)

    assert (job.state, job.failures, job.reason) == (State.WAITING, 0, "the server is away")
    assert list(job.attempts.order_by("number").values_list("number", flat=True)) == list(range(1, 11))
    assert timedelta(seconds=50) < job.run_at - database_now("default") <= timedelta(seconds=60)


def test_another_time_after_an_error_keeps_its_class_message_and_traceback(sample_processors: Calls) -> None:
    sample_processors.behaviour = _asks_for_another_time_after_an_error
    job = enqueue(CALL)
    outcome = run_waiting(job)
    attempt = job.attempts.get()

    assert (outcome.status, outcome.counts) == (Status.RETRIED, False)
    assert (attempt.error_class, attempt.message) == ("_ServerAway", "no answer")
    assert 'raise _ServerAway("no answer")' in attempt.traceback


def test_after_another_time_the_full_budget_of_retries_is_left(sample_processors: Calls) -> None:
    sample_processors.behaviour = _asks_for_another_time_after_an_error
    job = enqueue(CALL)
    for _ in range(5):
        run_waiting(job)
    sample_processors.behaviour = _raise(ValueError("broken"))
    statuses = [run_waiting(job).status for _ in range(4)]

    assert statuses == [Status.RETRIED, Status.RETRIED, Status.RETRIED, Status.FAILED]
    assert (job.failures, job.attempts.count()) == (4, 9)


def test_another_time_in_the_past_means_now() -> None:
    job = claimed(RETRY_LATER, seconds=-60)
    run(job)

    assert list(Job.objects.due()) == [job]


def test_another_time_beyond_any_calendar_does_not_keep_the_outcome_from_being_written(
    sample_processors: Calls,
) -> None:
    sample_processors.behaviour = _raise(RetryLater(timedelta.max, "never"))
    job = claimed(CALL)
    run(job)

    assert job.state == State.WAITING
    assert job.run_at - database_now("default") > timedelta(days=30_000)


def test_a_reason_that_is_none_does_not_keep_the_outcome_from_being_written(sample_processors: Calls) -> None:
    sample_processors.behaviour = _raise(RetryLater(5, None))  # type: ignore[arg-type]
    job = claimed(CALL)
    run(job)

    assert job.state == State.WAITING


@pytest.mark.parametrize(
    ("text", "kept"), [("a\x00b", "a\\x00b"), ("a\ud800b", "a\\ud800b"), ("ä😀", "ä😀"), ("", "")]
)
def test_any_text_of_an_error_can_be_written(sample_processors: Calls, text: str, kept: str) -> None:
    sample_processors.behaviour = _raise(ValueError(text))
    job = claimed(CALL)
    run(job)

    assert job.attempts.get().message == kept


def test_an_error_of_a_megabyte_is_cut_to_its_end(sample_processors: Calls) -> None:
    sample_processors.behaviour = _raise(ValueError("x" * 1_000_000 + "the end"))
    job = claimed(CALL)
    run(job)
    attempt = job.attempts.get()

    assert attempt.message.startswith("… ")
    assert attempt.message.endswith("the end")
    assert len(attempt.message) <= 2_002
    assert len(attempt.traceback) <= 20_002
    assert len(job.reason) <= 500


def test_a_long_reason_for_skipping_is_cut() -> None:
    job = claimed(SKIP, reason="x" * 1000)
    run(job)

    assert len(job.reason) == 500


def test_outcomes_of_every_kind_are_settled_together(redis_client: redis.Redis) -> None:
    names = [SUCCEED, SUCCEED, SKIP, FAIL, DISCARD, RETRY_LATER]
    jobs = [claimed(name) for name in names]
    outcomes = [_perform(job) for job in jobs]

    assert {id(outcome) for outcome in settling.settle(outcomes, CLAIMANT)} == {id(each) for each in outcomes}
    states = [Job.objects.get(pk=job.pk).state for job in jobs]
    assert states == ["completed", "completed", "completed", "waiting", "failed", "waiting"]


def test_completed_jobs_of_one_kind_are_settled_with_one_statement(
    django_assert_num_queries: Callable[..., Any],
) -> None:
    outcomes = [_perform(claimed()) for _ in range(5)]

    with django_assert_num_queries(1):
        settling.settle(outcomes, CLAIMANT)


@pytest.mark.django_db(databases=["default", "other"])
def test_outcomes_of_two_databases_are_settled_where_they_belong() -> None:
    here, there = claimed(), claimed(FAIL, using="other")
    outcomes = [_perform(here), performing.perform(Claim(there, "other"))]
    settling.settle(outcomes, CLAIMANT)

    assert Job.objects.get().state == State.COMPLETED
    assert Job.objects.using("other").get().state == State.WAITING
    assert Attempt.objects.using("other").count() == 1


# Claims that were taken away ----------------------------------------------------------------------


def _taken_by_another(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(worker_id=OTHER_CLAIMANT.id)


def _in_another_attempt(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(attempt=2)


def _back_on_the_road(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state=State.WAITING, attempt=2, worker=None)


def _deleted(job: Job) -> None:
    Job.objects.filter(pk=job.pk).delete()


@pytest.mark.parametrize("take", [_taken_by_another, _in_another_attempt, _back_on_the_road, _deleted])
@pytest.mark.parametrize("name", [SUCCEED, SKIP, FAIL, FAIL_WITHOUT_RETRY, RETRY_LATER])
def test_an_outcome_whose_claim_was_taken_away_changes_nothing(
    name: str, take: Callable[[Job], None]
) -> None:
    job = claimed(name)
    outcome = _perform(job)
    take(job)
    before = list(Job.objects.values())

    assert settling.settle([outcome], CLAIMANT) == []
    assert list(Job.objects.values()) == before
    assert not Attempt.objects.exists()
    assert counters.read() == {}


def test_a_lost_claim_does_not_keep_the_rest_of_its_batch_from_being_settled() -> None:
    lost, kept = claimed(), claimed()
    outcomes = [_perform(lost), _perform(kept)]
    _taken_by_another(lost)

    assert settling.settle(outcomes, CLAIMANT) == [outcomes[1]]
    assert Job.objects.get(pk=kept.pk).state == State.COMPLETED


@pytest.mark.parametrize("name", [FAIL, FAIL_WITHOUT_RETRY, RETRY_LATER])
def test_settling_again_changes_nothing(name: str) -> None:
    job = claimed(name)
    outcome = _perform(job)
    settling.settle([outcome], CLAIMANT)
    before = list(Job.objects.values())

    assert settling.settle([outcome], CLAIMANT) == []
    assert list(Job.objects.values()) == before


def test_what_was_written_before_the_database_failed_is_counted_and_announced_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes = [_perform(claimed()), _perform(claimed(FAIL))]
    settle_failure = settling._settle_failure

    def failing(*_: Any) -> bool:
        raise OperationalError("the database is away")

    with _heard(signals.job_completed) as heard:
        monkeypatch.setattr(settling, "_settle_failure", failing)
        with pytest.raises(OperationalError):
            settling.settle(outcomes, CLAIMANT)
        monkeypatch.setattr(settling, "_settle_failure", settle_failure)
        settling.settle(outcomes, CLAIMANT)

    assert len(heard) == 1
    stored = counters.read()
    assert stored['["job_processing_total","email","completed"]'] == 1
    assert stored['["job_processing_total","email","retried"]'] == 1


# What Redis is told -------------------------------------------------------------------------------


def _counted(name: str, **payload: Any) -> None:
    run(claimed(name, **payload))


def test_every_outcome_is_counted_by_queue_and_status() -> None:
    for name in (SUCCEED, SUCCEED, SKIP, FAIL, DISCARD, RETRY_LATER, ON_REMINDERS):
        _counted(name)
    stored = counters.read()

    assert {field: value for field, value in stored.items() if "job_processing_total" in field} == {
        '["job_processing_total","email","completed"]': 2,
        '["job_processing_total","email","skipped"]': 1,
        '["job_processing_total","email","retried"]': 2,
        '["job_processing_total","email","failed"]': 1,
        '["job_processing_total","reminders","completed"]': 1,
    }


def test_a_processor_with_a_counter_is_counted_by_type_and_status() -> None:
    _counted(COUNTED, kind="initial")
    _counted(COUNTED, kind="final")
    _counted(COUNTED, kind="final")
    _counted(COUNTED)
    stored = counters.read()

    assert {field: value for field, value in stored.items() if "sample" in field} == {
        '["sample_runs_total","initial","completed"]': 1,
        '["sample_runs_total","final","completed"]': 2,
        '["sample_runs_total","","completed"]': 1,
    }


def test_an_outcome_of_an_unknown_processor_is_counted_by_its_queue() -> None:
    job = claimed()
    registry.unregister(SUCCEED)
    run(job)

    assert counters.read()['["job_processing_total","email","retried"]'] == 1


def test_rq_sees_a_job_start_and_finish(redis_client: redis.Redis) -> None:
    started = StartedJobRegistry("email", connection=redis_client, serializer=JSONSerializer)
    finished = FinishedJobRegistry("email", connection=redis_client, serializer=JSONSerializer)
    job = published()
    [mine] = _claim()
    assert started.get_job_ids() == [f"{job.pk}-1"]

    run(mine)
    assert (started.get_job_ids(), finished.get_job_ids()) == ([], [f"{job.pk}-1"])


def test_a_retried_job_leaves_nothing_in_redis_until_it_is_published_again(redis_client: redis.Redis) -> None:
    published(FAIL)
    [mine] = _claim()
    run(mine)

    assert redis_client.keys("rq:job:*") == []
    assert redis_client.zcard("rq:wip:email") == 0


def test_with_redis_away_the_rows_are_settled(redis_closed: UseRedis) -> None:
    job = claimed()
    run(job)

    assert job.state == State.COMPLETED


def test_what_redis_missed_is_told_once_it_is_back(
    redis_closed: UseRedis, redis_server: RedisServer, redis_client: redis.Redis
) -> None:
    for _ in range(3):
        run(claimed())
    assert not telling.tell_redis()
    redis_closed(redis_server.host, redis_server.port)

    assert telling.tell_redis()
    assert telling.tell_redis()
    assert counters.read()['["job_processing_total","email","completed"]'] == 3


def test_a_batch_whose_answer_was_lost_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    finish, told = queues.finish, []

    def loses_its_first_answer(*arguments: Any) -> None:
        finish(*arguments)
        told.append(arguments)
        if len(told) == 1:
            raise BrokerUnavailable("the answer was lost")

    monkeypatch.setattr(queues, "finish", loses_its_first_answer)
    run(claimed())

    assert telling.tell_redis()
    assert len(told) == 2
    assert counters.read()['["job_processing_total","email","completed"]'] == 1


def test_a_message_of_ours_run_by_somebody_else_says_what_to_use() -> None:
    with pytest.raises(JobQueueError, match=r"job 5 attempt 1 runs only in .*manage\.py rqworker"):
        message.refuse_message(5, 1)


# Listeners ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        (SUCCEED, signals.job_completed),
        (SKIP, signals.job_completed),
        (FAIL, signals.job_retried),
        (RETRY_LATER, signals.job_retried),
        (DISCARD, signals.job_failed),
    ],
)
def test_every_outcome_is_announced(name: str, signal: Signal) -> None:
    job = claimed(name)
    with _heard(signal) as heard:
        outcome = run(job)

    assert [(details["job"], details["outcome"]) for details in heard] == [(job, outcome)]


def test_an_outcome_that_did_not_count_is_not_announced() -> None:
    job = claimed()
    outcome = _perform(job)
    _taken_by_another(job)
    with _heard(signals.job_completed) as heard:
        settling.settle([outcome], CLAIMANT)

    assert heard == []


def test_a_broken_listener_cannot_fail_a_job() -> None:
    def listener(**_: Any) -> None:
        raise RuntimeError("broken")

    failing = (signals.job_started, signals.job_completed)
    for signal in failing:
        signal.connect(listener)
    job = claimed()
    try:
        run(job)
    finally:
        for signal in failing:
            signal.disconnect(listener)

    assert job.state == State.COMPLETED


# The whole way ------------------------------------------------------------------------------------


def test_a_job_goes_from_the_queue_to_its_end_and_leaves_the_list_empty(redis_client: redis.Redis) -> None:
    job = published()
    [mine] = _claim()
    run(mine)

    assert Job.objects.get(pk=job.pk).state == State.COMPLETED
    assert list_of(redis_client) == []


def test_a_retry_goes_the_same_road(redis_client: redis.Redis) -> None:
    processor("sample.at_once", queue="email", retry=RetryPolicy(first_delay=timedelta(0)))(
        _raise(ValueError("broken"))
    )
    job = published("sample.at_once")
    [mine] = _claim()
    run(mine)
    assert _claim() == []

    assert outbox.publish_due("default") == 1
    assert [(each.pk, each.attempt) for each in _claim()] == [(job.pk, 2)]


def test_a_deadline_counts_from_the_claim() -> None:
    job = enqueue(SUCCEED)
    Job.objects.filter(pk=job.pk).update(run_at=Now() - timedelta(days=1))
    row = claim_row(job)

    assert row.deadline_at is not None
    assert row.deadline_at > database_now("default")


def test_discard_and_retry_later_are_no_errors_of_ours() -> None:
    assert not issubclass(Discard, JobQueueError)
    assert not issubclass(RetryLater, JobQueueError)
