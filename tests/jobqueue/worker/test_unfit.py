"""Jobs that this process cannot run: handed on, found by those that can, and failed after a set time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db.models import F
from django.db.models.functions import Now

from jobqueue import registry
from jobqueue.models import UNKNOWN_PREFIX, Attempt, Job, Queue
from jobqueue.sql.clock import database_now
from jobqueue.worker.claim_loop import Claiming
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.executor import Executor
from jobqueue.worker.options import Options
from jobqueue.worker.outcomes import Outcome
from jobqueue.worker.unfit import UnfitJobs
from tests.jobqueue.processors_for_tests import SUCCEED, TAKES_A_NUMBER
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, QUEUES, TELLER, claim_row, published, settle

pytestmark = pytest.mark.django_db(databases=["default", "other"])

State = Job.State


def _executor() -> Executor:
    """One whose threads were not started, so they take up no job."""
    return Executor(Options("tests", QUEUES, threads=200, shutdown_timeout=1))


def _of_unknown_processor(**options: Any) -> Job:
    job = published(**options)
    Job.objects.filter(pk=job.pk).update(processor="shop.new")
    return job


def _with_an_argument_too_many() -> Job:
    job = published(TAKES_A_NUMBER, number=1)
    Job.objects.filter(pk=job.pk).update(payload={"number": 1, "currency": "EUR"})
    return job


def _without_an_argument() -> Job:
    job = published(TAKES_A_NUMBER, number=1)
    Job.objects.filter(pk=job.pk).update(payload={})
    return job


@pytest.fixture(params=[_of_unknown_processor, _with_an_argument_too_many, _without_an_argument])
def unfit(request: pytest.FixtureRequest) -> Job:
    """A published job that this process cannot run."""
    make: Callable[[], Job] = request.param
    return make()


def _look(executor: Executor) -> None:
    executor._claim_loop._next(Claiming())


def _unfit_jobs(
    identity: Identity = IDENTITY, settle: Callable[[Outcome], None] = lambda _outcome: None
) -> UnfitJobs:
    return UnfitJobs(identity, TELLER, lambda _claims: None, settle)


def _finder() -> UnfitJobs:
    return _unfit_jobs(OTHER_IDENTITY)


def _find(room: int = 10, limited: tuple[str, ...] = ()) -> list[int]:
    return [each.job.pk for each in _finder().find(room, QUEUES, limited)]


def _handed_on(job: Job, *, ago: float = 0) -> Job:
    """The job as it is after a worker could not run it."""
    row = claim_row(job)
    _unfit_jobs().hand_on([(Claim(row, "default"), "there is no such thing")])
    if ago:
        Job.objects.filter(pk=job.pk).update(unfit_since=Now() - timedelta(seconds=ago))
    job.refresh_from_db()
    return job


@pytest.mark.parametrize("step", [7200, -7200])
def test_a_step_of_the_databases_clock_makes_no_job_older(step: float) -> None:
    job = _handed_on(_of_unknown_processor(), ago=20)
    moved = timedelta(seconds=step)
    # What was published while it was due is due.
    times = {"run_at": F("run_at") - moved, "published_at": F("run_at") - moved}
    Job.objects.filter(pk=job.pk).update(unfit_since=F("unfit_since") - moved, **times)

    _handed_on(job)

    job.refresh_from_db()
    assert (job.state, job.failures) == (State.WAITING, 0)
    assert job.unfit_since is not None
    assert timedelta(seconds=15) < database_now("default") - job.unfit_since < timedelta(seconds=60)


def test_it_waits_again_and_has_used_up_nothing(unfit: Job, redis_client: redis.Redis) -> None:
    _look(_executor())

    unfit.refresh_from_db()
    assert (unfit.state, unfit.attempt, unfit.failures) == (State.WAITING, 1, 0)
    assert unfit.published_at is None
    assert unfit.unfit_since is not None
    assert not Attempt.objects.exists()
    assert redis_client.keys("rq:job:*") == []
    assert redis_client.zcard("rq:wip:email") == 0


def test_its_reason_says_that_no_worker_knows_it_and_why() -> None:
    job, other = _of_unknown_processor(), _with_an_argument_too_many()

    _look(_executor())

    job.refresh_from_db()
    other.refresh_from_db()
    assert job.reason == "handed on by a worker that does not know it: there is no processor 'shop.new'"
    assert other.reason.startswith(
        f"{UNKNOWN_PREFIX}{TAKES_A_NUMBER} does not take this payload: got an unexpected keyword argument"
    )


def test_the_good_jobs_of_its_batch_are_taken_in_hand(unfit: Job) -> None:
    good = published()
    executor = _executor()

    _look(executor)

    assert [claimed.job for claimed in executor._in_hand.claims] == [good]
    assert executor._in_hand.taken == 1


@pytest.mark.parametrize(("age", "delay"), [(0, 1), (1, 1), (2, 2), (8, 8), (29, 29), (200, 30)])
def test_the_longer_nobody_knows_it_the_later_it_is_offered_again(age: float, delay: float) -> None:
    job = published()
    if age:
        Job.objects.filter(pk=job.pk).update(unfit_since=Now() - timedelta(seconds=age))

    _handed_on(job)

    wait = (job.run_at - database_now("default")).total_seconds()
    assert delay - 0.5 < wait <= delay


def test_a_warning_names_the_processor_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        _of_unknown_processor()
    executor = _executor()

    with caplog.at_level(logging.WARNING, "jobqueue"):
        _look(executor)

    assert len(caplog.records) == 1
    assert "there is no processor 'shop.new'" in caplog.text
    assert "UNKNOWN_PROCESSOR_TIMEOUT" in caplog.text


def test_a_thousand_of_them_cost_a_few_statements(django_assert_max_num_queries: Any) -> None:
    rows = [claim_row(published()) for _ in range(100)]
    loop = _unfit_jobs()

    with django_assert_max_num_queries(3):
        loop.hand_on([(Claim(row, "default"), "there is no processor") for row in rows])

    assert Job.objects.filter(unfit_since__isnull=False).count() == 100


def test_a_claim_that_was_taken_away_meanwhile_is_left_alone() -> None:
    row = claim_row(published())
    Job.objects.filter(pk=row.pk).update(worker_id=OTHER_IDENTITY.id)

    _unfit_jobs().hand_on([(Claim(row, "default"), "why")])

    row.refresh_from_db()
    assert (row.state, row.worker_id, row.unfit_since) == (State.ACTIVE, OTHER_IDENTITY.id, None)


def test_a_type_error_of_the_processor_is_its_own_failure(sample_processors: Any) -> None:
    def broken(**_: Any) -> None:
        raise TypeError("got an unexpected keyword argument 'x'")

    sample_processors.behaviour = broken

    assert registry.why_unfit("sample.call", {"anything": 1}) == ""


@pytest.mark.parametrize("payload", [[1, 2], "text", None, 7])
def test_a_payload_that_no_version_would_take_is_no_question_of_versions(payload: Any) -> None:
    assert registry.why_unfit(SUCCEED, payload) == ""


# Found by those that can run them ------------------------------------------------------------------


def test_a_worker_that_knows_it_claims_it_before_its_time() -> None:
    job = _handed_on(published())

    assert _find() == [job.pk]
    job.refresh_from_db()
    assert (job.state, job.worker_id, job.attempt) == (State.ACTIVE, OTHER_IDENTITY.id, 1)


def test_a_worker_that_does_not_know_it_either_leaves_it() -> None:
    job = _handed_on(published())
    Job.objects.filter(pk=job.pk).update(processor="shop.new")
    _handed_on(published(TAKES_A_NUMBER, number=1))
    Job.objects.filter(processor=TAKES_A_NUMBER).update(payload={})

    assert _find() == []


def test_no_more_are_taken_than_there_is_room_for() -> None:
    jobs = [_handed_on(published()) for _ in range(3)]

    assert _find(room=2) == [job.pk for job in jobs[:2]]


def test_what_is_published_again_is_left_to_its_message() -> None:
    job = _handed_on(published())
    Job.objects.filter(pk=job.pk).update(published_at=Now())

    assert _find() == []


def test_a_delayed_job_that_nobody_handed_on_is_left_alone() -> None:
    published()
    Job.objects.update(run_at=Now() + timedelta(hours=1), published_at=None)

    assert _find() == []


def test_many_that_do_not_fit_do_not_hide_one_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobqueue.worker.unfit._LOOK_AT", 2)
    for _ in range(3):
        _handed_on(published(TAKES_A_NUMBER, number=1))
    Job.objects.update(payload={})
    job = _handed_on(published())
    finder = _finder()

    found = []
    for _ in range(3):
        finder._next_look = 0
        found += [each.job.pk for each in finder.find(10, QUEUES, ())]

    assert found == [job.pk]


def test_in_a_queue_with_a_limit_it_is_only_made_due() -> None:
    job = _handed_on(published())

    assert _find(limited=("email",)) == []

    job.refresh_from_db()
    assert job.state == State.WAITING
    assert job.run_at <= database_now("default")


def test_what_is_due_in_such_a_queue_keeps_its_time() -> None:
    job = _handed_on(published())
    Job.objects.update(run_at=Now() - timedelta(minutes=1))
    job.refresh_from_db()
    due = job.run_at

    _find(limited=("email",))

    job.refresh_from_db()
    assert job.run_at == due


def test_it_is_looked_for_once_a_second() -> None:
    finder = _finder()
    finder.find(10, QUEUES, ())
    _handed_on(published())

    assert finder.find(10, QUEUES, ()) == []


def test_of_a_paused_queue_none_is_taken() -> None:
    job = _handed_on(published())
    Queue.objects.create(name="email", paused=True)
    executor = _executor()
    executor._decisions.read()

    _look(executor)

    job.refresh_from_db()
    assert job.state == State.WAITING


def test_it_is_found_in_every_database() -> None:
    job = published(using="other")
    [row] = Job.objects.db_manager("other").filter(pk=job.pk)
    Job.objects.using("other").update(unfit_since=Now(), published_at=None, run_at=Now() + timedelta(hours=1))

    assert _find() == [row.pk]


# Over ----------------------------------------------------------------------------------------------


def test_after_the_set_time_it_fails_and_says_so(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"UNKNOWN_PROCESSOR_TIMEOUT": 60}
    job = _of_unknown_processor()
    Job.objects.filter(pk=job.pk).update(unfit_since=Now() - timedelta(seconds=61))
    given_up: list[Any] = []
    loop = _unfit_jobs(settle=given_up.append)
    row = claim_row(job)

    loop.hand_on([(Claim(row, "default"), registry.why_unfit(row.processor, row.payload))])
    settle(given_up)

    row.refresh_from_db()
    assert (row.state, row.attempt, row.failures) == (State.FAILED, 1, 1)
    assert row.reason == (
        "UnknownProcessor: no worker knew this job for 61 s (UNKNOWN_PROCESSOR_TIMEOUT): "
        "there is no processor 'shop.new'"
    )
    [attempt] = row.attempts.all()
    assert attempt.error_class == "UnknownProcessor"


def test_it_is_offered_a_last_time_when_its_time_is_over(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"UNKNOWN_PROCESSOR_TIMEOUT": 60}
    job = published()
    Job.objects.filter(pk=job.pk).update(unfit_since=Now() - timedelta(seconds=50))

    _handed_on(job)

    assert 9 < (job.run_at - database_now("default")).total_seconds() <= 10


def test_an_operators_retry_gives_it_the_full_time_again() -> None:
    job = _handed_on(published(), ago=7200)
    Job.objects.filter(pk=job.pk).update(state=State.FAILED)

    Job.objects.get(pk=job.pk).retry()

    job.refresh_from_db()
    assert job.unfit_since is None
