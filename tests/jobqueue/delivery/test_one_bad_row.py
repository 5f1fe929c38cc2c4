"""One bad row stops nobody else: relay, claim, settle, rescue lost messages."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from jobqueue.broker import queues
from jobqueue.conf import get_settings
from jobqueue.delivery import apart, outbox, rescue
from jobqueue.delivery.lost import LostMessages
from jobqueue.jobs import enqueue
from jobqueue.models import Attempt, Job, transitions
from jobqueue.worker import claiming, performing, settling
from tests.jobqueue.hostile import HOSTILE, refused, set_aside_of, spoil
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import IDENTITY, TELLER, claim_jobs, list_of, messages_of, settle

pytestmark = pytest.mark.django_db
hostile = pytest.mark.parametrize(("column", "what", "value"), HOSTILE)


@pytest.fixture(autouse=True)
def _careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test made claims careful about is none of the next."""
    monkeypatch.setattr(claiming, "_careful_until", {})


def _jobs(number: int = 5, **fields: Any) -> list[Job]:
    jobs = [enqueue(SUCCEED, number=index) for index in range(number)]
    if fields:
        Job.objects.all().update(**fields)
    return jobs


def _relay() -> None:
    outbox.set_aside_never_due("default")
    outbox.upcoming("default", 60.0)
    outbox.publish_due("default")


def _work() -> None:
    """What a worker does until nothing is left to do for it."""
    for _round in range(6):
        _relay()
        claims = claim_jobs(IDENTITY, 10)
        settle([performing.perform(claimed) for claimed in claims])
        _hand_back_strays({claim.job.pk for claim in claims})


def _assert_done(jobs: list[Job]) -> None:
    states = Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("state", flat=True)
    assert set(states) == {"completed"}


@hostile
def test_the_others_are_published_claimed_and_done_and_the_bad_row_is_set_aside(
    column: str, what: str, value: str
) -> None:
    jobs = _jobs(published_at=None)
    bad = spoil(jobs.pop(2), column, value)

    _work()

    _assert_done(jobs)
    # What does not raise is done as well: nobody reads the time of a row that is due.
    assert set_aside_of(bad) or (
        column == "run_at" and Job.objects.filter(pk=bad, state="completed").exists()
    )


@hostile
def test_the_others_of_a_batch_of_messages_are_claimed(
    column: str, what: str, value: str, redis_client: Any
) -> None:
    jobs = _jobs()
    queues.publish(messages_of(jobs))
    bad = spoil(jobs[2], column, value)
    others = [job for job in jobs if job is not jobs[2]]

    claims = [claim for _ in range(3) for claim in claim_jobs(IDENTITY, 10)]
    settle([performing.perform(claimed) for claimed in claims])
    _hand_back_strays({claim.job.pk for claim in claims})
    _work()

    _assert_done(others)
    assert set_aside_of(bad) or column in ("id", "run_at", "attempt", "timeout")


def _hand_back_strays(known: set[int]) -> None:
    """As `InHand.compare` does: SQLite may have committed a claim that it could not answer."""
    for job in Job.objects.held_by(IDENTITY.id).exclude(pk__in=known):
        transitions.hand_back(Job.objects, job, IDENTITY.id, reason="handed back")


@hostile
def test_the_others_of_a_worker_that_is_gone_come_back(column: str, what: str, value: str) -> None:
    jobs = _jobs(state="active", worker_id=uuid.uuid4(), started_at=Now())
    bad = spoil(jobs.pop(2), column, value)

    rescue.rescue_lost("default")

    states = Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("state", flat=True)
    assert set(states) == {"waiting"}
    assert set_aside_of(bad) or Job.objects.filter(pk=bad, state="waiting").exists()


@hostile
def test_the_others_that_redis_lost_are_published_again(
    column: str, what: str, value: str, redis_client: Any
) -> None:
    long_ago = Now() - timedelta(seconds=get_settings().lost_after + 5)
    jobs = _jobs()
    redis_client.flushall()
    Job.objects.all().update(published_at=long_ago)
    spoil(jobs.pop(2), column, value)

    walk = LostMessages("default")
    for _ in range(3):
        walk.publish_again()

    assert {f"{job.pk}-1" for job in jobs} <= set(list_of(redis_client))


@pytest.mark.django_db(transaction=True)
def test_an_outcome_that_a_row_does_not_take_keeps_no_other_from_being_written() -> None:
    jobs = _jobs()
    queues.publish(messages_of(jobs))
    claims = claim_jobs(IDENTITY, 10)
    outcomes = [performing.perform(claimed) for claimed in claims]
    with refused(jobs[2]):
        with pytest.raises(Exception, match="no change of this row") as caught:
            settling.settle_and_tell([outcomes[2]], IDENTITY, TELLER)
        assert settling.set_aside(outcomes[2], IDENTITY, caught.value)
    settle([outcome for outcome in outcomes if outcome is not outcomes[2]])

    _assert_done([job for job in jobs if job is not jobs[2]])
    assert "no change of this row" in set_aside_of(jobs[2].pk)


@pytest.mark.parametrize("position", [0, 2, 4])
def test_a_row_that_refuses_every_change_keeps_no_other_from_being_published(
    position: int, redis_client: Any
) -> None:
    jobs = _jobs(published_at=None)
    redis_client.flushall()
    bad = jobs.pop(position)
    with refused(bad):
        outbox.publish_due("default")

    assert sorted(list_of(redis_client)) == sorted(f"{job.pk}-1" for job in jobs)
    assert "no change of this row" in set_aside_of(bad.pk)


@pytest.mark.parametrize("position", [0, 2, 4])
@pytest.mark.django_db(transaction=True)
def test_a_row_that_refuses_every_change_keeps_no_other_from_being_claimed(position: int) -> None:
    jobs = _jobs()
    queues.publish(messages_of(jobs))
    bad = jobs.pop(position)
    with refused(bad):
        claims = claim_jobs(IDENTITY, 10)

    assert [claim.job.pk for claim in claims] == [job.pk for job in jobs]
    assert "no change of this row" in set_aside_of(bad.pk)


def test_a_row_that_refuses_every_change_keeps_no_other_from_being_rescued() -> None:
    jobs = _jobs(state="active", worker_id=uuid.uuid4(), started_at=Now())
    bad = jobs.pop(0)
    with refused(bad):
        rescue.rescue_lost("default")

    assert Job.objects.waiting().count() == len(jobs)
    assert "no change of this row" in set_aside_of(bad.pk)


def test_a_row_that_is_set_aside_has_an_attempt_that_says_what_happened() -> None:
    [job] = _jobs(1)
    queues.publish(messages_of([job]))
    spoil(job, "payload", "'[1]'")

    claim_jobs(IDENTITY, 10)

    attempt = Attempt.objects.get(job=job.pk)
    assert (attempt.number, attempt.error_class) == (1, "UnreadableRow")
    assert "its payload is list" in attempt.message
    assert Job.objects.get(pk=job.pk).state == "failed"


def test_what_was_set_aside_is_put_back_by_a_retry_and_runs() -> None:
    [job] = _jobs(1)
    queues.publish(messages_of([job]))
    spoil(job, "payload", "'[1]'")
    claim_jobs(IDENTITY, 10)
    spoil(job, "payload", "'{}'")

    assert Job.objects.set_aside().retry_all() == 1
    _work()

    job.refresh_from_db()
    assert (job.state, job.set_aside) == ("completed", "")


# What sets nothing aside --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("database is locked"),
        OperationalError("attempt to write a readonly database"),
        OperationalError("database or disk is full"),
        OperationalError("no such column: jobqueue_job.new"),
    ],
    ids=str,
)
def test_an_outage_sets_nothing_aside(error: Exception) -> None:
    [job] = _jobs(1)
    row = Job.objects.filter(pk=job.pk)

    assert not apart.blame(row, error, lambda healthy: None)
    assert not set_aside_of(job.pk)


def test_an_error_that_a_healthy_row_raises_too_sets_nothing_aside() -> None:
    [job] = _jobs(1)
    row = Job.objects.filter(pk=job.pk)

    def broken(healthy: Job) -> None:
        raise TypeError("a fault of ours")

    assert not apart.blame(row, TypeError("a fault of ours"), broken)
    assert not set_aside_of(job.pk)


def test_the_healthy_row_that_proves_it_is_gone_afterwards() -> None:
    [job] = _jobs(1)

    assert apart.blame(Job.objects.filter(pk=job.pk), ValueError("its own"), lambda healthy: None)
    assert list(Job.objects.values_list("pk", flat=True)) == [job.pk]
