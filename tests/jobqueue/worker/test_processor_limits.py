"""What an executor knows of the limits of processors, and what it parks and starts by them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection, connections, transaction
from django.db.models.functions import Now

from jobqueue.models import Job, ProcessorLimits, jobs_in
from jobqueue.models.holding import hold_all
from jobqueue.models.parking import parked
from jobqueue.worker import claiming, limits
from jobqueue.worker.claiming import Batch, Wanted
from jobqueue.worker.limits import QueueDecisions
from jobqueue.worker.parked import ParkedJobs
from jobqueue.worker.threads import JobThreads
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, TELLER, claim_row, claimed, list_of, published

pytestmark = pytest.mark.django_db(databases=["default", "other"])

QUEUES = ["email"]


def _decisions(**row: int | None) -> QueueDecisions:
    """What is decided of the processor of `published`."""
    ProcessorLimits.objects.update_or_create(name=SUCCEED, defaults=row)
    decisions = QueueDecisions()
    decisions.read()
    return decisions


def _claim(decisions: QueueDecisions) -> Batch:
    wanted = Wanted(10, QUEUES, free=10, parks=decisions.limited_here())
    return claiming.claim(IDENTITY, wanted, TELLER)


def _started(decisions: QueueDecisions, room: int = 10) -> list[int]:
    return [each.job.pk for each in ParkedJobs(IDENTITY, decisions).find(10, QUEUES, _idle(room))]


def _idle(count: int) -> JobThreads:
    """So many threads that have nothing to do."""
    return JobThreads(count, performing=lambda *_: None, performed=lambda _: None, guard=lambda body: body)


def test_the_message_of_a_limited_processor_is_taken_out_and_its_job_starts_from_its_row(
    redis_client: redis.Redis,
) -> None:
    decisions = _decisions(concurrency_limit=2)
    jobs = [published() for _ in range(3)]

    batch = _claim(decisions)

    assert (batch.jobs, batch.parked) == ([], 3)
    assert list_of(redis_client) == []
    assert not redis_client.exists("rq:wip:email")
    assert _started(decisions) == [job.pk for job in jobs[:2]]
    assert redis_client.zcard("rq:wip:email") == 2


def test_a_running_job_counts_whoever_runs_it(redis_client: redis.Redis) -> None:
    decisions = _decisions(concurrency_limit=1)
    claim_row(published(), OTHER_IDENTITY)
    published()
    _claim(decisions)

    assert _started(decisions) == []


def test_what_runs_in_another_database_counts_as_of_the_last_look(redis_client: redis.Redis) -> None:
    decisions = _decisions(concurrency_limit=1)
    claimed(using="other", identity=OTHER_IDENTITY)
    published()
    _claim(decisions)

    executor = ParkedJobs(IDENTITY, decisions)
    executor._count_active("other")
    assert executor.find(10, QUEUES, _idle(10)) == []


def test_the_limits_of_what_this_process_cannot_run_park_nothing(redis_client: redis.Redis) -> None:
    ProcessorLimits.objects.create(name="nobody.knows_it", concurrency_limit=1)
    decisions = QueueDecisions()
    decisions.read()

    assert (list(decisions.processors), decisions.limited_here()) == (["nobody.knows_it"], [])


def test_no_more_start_than_there_is_room(redis_client: redis.Redis) -> None:
    decisions = _decisions(concurrency_limit=5)
    first, _second = published(), published()
    _claim(decisions)

    assert _started(decisions, room=1) == [first.pk]


def test_the_starts_of_a_rate_are_counted_and_those_that_did_not_happen_are_not(
    redis_client: redis.Redis,
) -> None:
    decisions = _decisions(rate_limit=2)
    starts = f"rq:jobqueue:starts-of:{SUCCEED}"
    redis_client.lpush(starts, 0)
    jobs = [published() for _ in range(3)]
    _claim(decisions)

    assert _started(decisions) == [job.pk for job in jobs[:2]]
    assert _started(decisions) == []
    assert redis_client.llen(starts) == 2


def test_a_parked_job_uses_up_nothing_of_the_rate_of_its_queue(redis_client: redis.Redis) -> None:
    decisions = _decisions(concurrency_limit=1)
    decisions.limits = {"email": limits.QueueLimits(rate=5)}
    redis_client.lpush("rq:jobqueue:starts:email", 0)
    for _ in range(3):
        published()

    wanted = Wanted(10, QUEUES, decisions.limits, free=10, parks=decisions.limited_here())
    assert claiming.claim(IDENTITY, wanted, TELLER).parked == 3
    assert redis_client.lrange("rq:jobqueue:starts:email", 0, -1) == [b"0"]
    assert len(_started(decisions)) == 1
    assert redis_client.llen("rq:jobqueue:starts:email") == 2


def test_limits_that_end_release_what_is_parked_at_once_and_what_is_parked_late(
    redis_client: redis.Redis,
) -> None:
    decisions = _decisions(concurrency_limit=1)
    claim_row(published(), OTHER_IDENTITY)
    late = QueueDecisions()
    late.read()
    published()
    _claim(decisions)
    ProcessorLimits.objects.update(concurrency_limit=None)

    assert decisions.read()
    _started(decisions)
    assert _parked() == 0
    published()
    _claim(late)
    _started(decisions)
    assert _parked() == 0


def test_a_process_that_begins_releases_what_stayed_parked(redis_client: redis.Redis) -> None:
    before = _decisions(concurrency_limit=1)
    claim_row(published(), OTHER_IDENTITY)
    published()
    _claim(before)

    _started(_decisions(concurrency_limit=None))

    assert _parked() == 0


def test_a_message_of_a_limited_processor_whose_job_is_not_due_any_more_is_dropped(
    redis_client: redis.Redis,
) -> None:
    decisions, job = _decisions(concurrency_limit=1), published()
    Job.objects.filter(pk=job.pk).update(run_at=Now() + timedelta(days=1), published_at=None)

    assert _claim(decisions) == Batch([], None, 0)
    assert list_of(redis_client) == []


if connection.vendor == "postgresql":

    @contextmanager
    def changing(job: Job, change: Callable[[object], object]) -> Iterator[None]:
        """Inside the block somebody has changed the job, and not committed it yet."""
        is_changed, is_over = threading.Event(), threading.Event()

        def operate() -> None:
            try:
                with transaction.atomic():
                    change(Job.objects.filter(pk=job.pk))
                    Job.objects.filter(pk=job.pk).update(published_at=None)
                    is_changed.set()
                    is_over.wait(5)
            finally:
                connections.close_all()

        operator = threading.Thread(target=operate)
        operator.start()
        is_changed.wait(5)
        yield
        is_over.set()
        operator.join()

    @pytest.mark.django_db(databases=["default", "other"], transaction=True)
    def test_a_job_that_is_locked_while_it_is_to_be_parked_is_asked_for_again_and_never_past_the_limit(
        redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decisions = _decisions(concurrency_limit=1)
        claim_row(published(), OTHER_IDENTITY)
        redis_client.delete("rq:queue:email")
        job = published()
        lock = changing(job, lambda jobs: jobs.select_for_update().get())  # type: ignore[attr-defined]
        lock.__enter__()
        claim = claiming._claim_allowed

        def claim_when_it_is_free(*arguments: Any) -> Any:
            lock.__exit__(None, None, None)
            return claim(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(claiming, "_claim_allowed", claim_when_it_is_free)
            batch = _claim(decisions)

        assert (batch.jobs, batch.parked) == ([], 0)
        assert list_of(redis_client) == [job.message_id]
        assert _claim(decisions).parked == 1
        assert _started(decisions) == []

    @pytest.mark.django_db(databases=["default", "other"], transaction=True)
    @pytest.mark.parametrize(
        "change",
        [
            lambda jobs: hold_all(jobs, "held by ops"),
            lambda jobs: jobs.update(run_at=Now() + timedelta(days=7)),
        ],
        ids=["held", "moved"],
    )
    def test_what_somebody_is_changing_is_passed_by_and_not_written_over(
        redis_client: redis.Redis, change: Callable[[object], object]
    ) -> None:
        decisions = _decisions(concurrency_limit=1)
        first, second = published(), published()
        _claim(decisions)

        with changing(first, change):
            started = _started(decisions)

        assert started == [second.pk]
        first.refresh_from_db()
        assert (first.state, first.published_at) == ("waiting", None)


def test_without_limits_nothing_is_looked_for(
    redis_client: redis.Redis, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    decisions = QueueDecisions()
    decisions.read()

    with django_assert_num_queries(0):  # type: ignore[operator]
        assert ParkedJobs(IDENTITY, decisions).find(10, QUEUES, _idle(10)) == []


def _parked() -> int:
    return parked(jobs_in("default"), [SUCCEED]).count()
